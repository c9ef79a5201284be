"""Check documents that strangers wrote against a schema, with one line for what does not fit."""

from __future__ import annotations

import reprlib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from compress.core.errors import CompressError
from compress.core.visible import visible

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


class Foreign(BaseModel):
    """A document of another tool: keys that are not listed are left out, values are not converted."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", allow_inf_nan=False, protected_namespaces=()
    )


Schema = TypeVar("Schema", bound=BaseModel)


def validated(kind: type[Schema], values: Any, *, where: str, code: str = "config-invalid") -> Schema:
    """Validate a parsed document.

    Args:
        kind: The schema.
        values: What was read.
        where: The file, for the message.
        code: The error's code.

    Returns:
        The document as an object.

    Raises:
        CompressError: A key is missing, a value is of another type, or a key is refused.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        # A refused key tells more than a missing one.
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        key = visible(".".join(str(part) for part in first["loc"])[:80])
        message = f"{where}: '{key}': {first['msg'].lower()}{_input(first)}"
    except RecursionError:
        message = f"{where} is nested too deeply"
    raise CompressError(code, message, hint="copy it from the original, or make the artifact again")


def _input(problem: Any) -> str:
    return "" if problem["type"] == "missing" else f", found {visible(_REPR.repr(problem['input']))}"
