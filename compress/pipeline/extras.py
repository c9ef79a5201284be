"""What a recipe needs that may not be installed, known before anything heavy begins."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from compress.core.distribution import install_extra
from compress.core.errors import CompressError
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.recipe import Recipe

_RUNTIMES = {"openvino": "openvino"}
"""The modules of runtimes that are extras."""


def refuse_missing_extras(recipe: Recipe) -> None:
    """Refuse a recipe whose runtime, or a library of whose steps, is not installed.

    Raises:
        CompressError: one is missing; the hint installs it.
    """
    runtime = _RUNTIMES.get(recipe.runtime)
    if runtime and find_spec(runtime) is None:
        message = f"the {runtime} runtime is not installed"
        raise CompressError("extra-missing", message, hint=install_extra(runtime))
    for step in recipe.steps:
        library = getattr(bind(step).implementation, "LIBRARY", None)
        if library and find_spec(library) is None:
            message = f"{step.name} needs {library}, which is not installed"
            raise CompressError("extra-missing", message, hint=install_extra(library))


def refuse_all_missing_extras(recipes: Sequence[Recipe]) -> None:
    """Refuse to run where no recipe of several can be made for want of what it needs.

    Raises:
        CompressError: as for the first of them.
    """
    errors = []
    for recipe in recipes:
        try:
            return refuse_missing_extras(recipe)
        except CompressError as error:
            errors.append(error)
    raise errors[0]
