"""Presets: what a user is after, as the recipes that are tried for it and the rule that chooses one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from compress.core.config import Frozen, parse
from compress.core.profile import ModelKind, found_file, profiles_folder
from compress.core.yaml_files import read_yaml


class Preset(Frozen):
    """`profiles/presets/NAME.yaml`. Its candidates take the place of the profile's own; those whose
    formats the target has no kernels for are left out.
    """

    description: str
    max_drop: str
    """The accuracy budget where the user sets none."""
    prefer: Literal["speed", "size"] = "speed"
    """Which of the candidates within the budgets is kept: the fastest, or the smallest that is no
    slower than ONNX Runtime fp32."""
    candidates: dict[ModelKind, tuple[str, ...]] = Field(default_factory=dict)


def preset_names() -> list[str]:
    """The presets that ship with the tool."""
    return sorted(path.stem for path in (profiles_folder() / "presets").glob("*.yaml"))


def load_preset(name: str) -> Preset:
    """Read a preset by name, or from a path that ends in `.yaml`.

    Raises:
        CompressError: there is none of that name, or the file is not a preset.
    """
    path = found_file(name, known=preset_names(), folder=profiles_folder() / "presets", what="preset")
    return parse(Preset, read_yaml(path, code="preset-invalid"), code="preset-invalid", where=str(path))
