"""The base of everything that is read from a file or a flag: frozen, typed, unknown keys refused."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from compress.core.errors import CompressError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping


class Frozen(BaseModel):
    """An immutable value that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


Value = TypeVar("Value", bound=Frozen)

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 100
_shown = _REPR.repr
"""Values in errors, shortened: a stranger's may fill the screen."""


def parse(kind: type[Value], values: Mapping[str, Any], *, code: str, where: str) -> Value:
    """Validate `values` as a `kind`, turning the first complaint into a one-line error.

    `code` is the error's code and `where` names the place that was read (a file, a step).

    Raises:
        CompressError: a key is unknown, missing or of the wrong type.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        # A mistyped key explains a missing one, so it is told first.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(str(first["loc"][-1]), kind.model_fields)
            raise CompressError(code, f"{where} has an unknown key '{key}'", hint=hint) from None
        found = "" if first["type"] == "missing" else f", found {_shown(first['input'])}"
        message = f"{where}: '{key}': {first['msg'].lower()}{found}"
        raise CompressError(code, message, hint=f"keys: {', '.join(kind.model_fields)}") from None
