"""Recipes: ordered lists of steps, as written in YAML, with unknown keys refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from compress.core.config import Frozen, parse
from compress.core.errors import CompressError
from compress.core.yaml_files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Step(Frozen):
    """One step: `name` is its pass (`quantize.dynamic`), `config` that pass's own keys."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)


class Recipe(Frozen):
    """Steps in the order in which they are applied; `runtime` is what runs the result."""

    name: str
    steps: tuple[Step, ...]
    runtime: str = "onnxruntime"
    formats: tuple[str, ...] = ()
    """Numeric formats that a target must have kernels for, else the recipe is not tried there."""
    unless: tuple[str, ...] = ()
    """Recipes tried before this one, each as fast and as small or better: where one of them keeps the
    model's accuracy this one is not made."""
    why: str = ""


class _Written(Frozen):
    steps: list[dict[str, dict[str, Any] | None]]
    runtime: str = "onnxruntime"
    formats: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    why: str = ""


def recipe_from(values: Mapping[str, Any], *, name: str, where: str) -> Recipe:
    """Read a recipe from the parsed YAML `{"steps": [{"quantize.dynamic": {...}}, ...]}`.

    Raises:
        CompressError: the shape is another, a key is unknown, or a step has not exactly one name.
    """
    written = parse(_Written, values, code="recipe-invalid", where=where)
    steps = []
    for index, entry in enumerate(written.steps):
        if len(entry) != 1:
            found = ", ".join(entry) or "nothing"
            message = f"{where}: step {index + 1} must have exactly one name, found {found}"
            raise CompressError("recipe-invalid", message, hint="write `- quantize.dynamic: {}`")
        ((step, config),) = entry.items()
        steps.append(Step(name=step, config=config or {}))
    rest = written.model_dump(exclude={"steps"})
    return Recipe(name=name, steps=tuple(steps), **rest)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        CompressError: the file is missing, is not YAML, or is not a recipe.
    """
    return recipe_from(read_yaml(path, code="recipe-invalid"), name=path.stem, where=str(path))
