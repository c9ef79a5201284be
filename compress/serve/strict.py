"""JSON of a request, refused for what Python's reader lets through and answers cannot hold."""

from __future__ import annotations

import math
from typing import Any

from compress.core.errors import CompressError
from compress.core.regular_files import parse_json

_CODE = "json-invalid"


def check_json(body: bytes, *, containers: int) -> None:
    """Refuse a body that is not plain JSON.

    Args:
        body: the body's bytes, which must be UTF-8.
        containers: the most lists and mappings that it may hold.

    Raises:
        CompressError: it is no JSON, is nested too deep, has too many parts, or holds NaN, infinities or
            halves of surrogate pairs.
    """
    try:
        text = body.decode("utf8")
    except UnicodeDecodeError:
        raise _invalid("the request is not UTF-8") from None
    # Before parsing, since the parsed lists are what fills the memory.
    if text.count("[") + text.count("{") > containers:
        raise _invalid(f"the request has more than {containers:,} lists and mappings")
    _refuse_unusual(parse_json(text, where="the request", code=_CODE))


def _refuse_unusual(document: Any) -> None:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, float) and not math.isfinite(value):
            raise _invalid("the request holds NaN or an infinite number")
        elif isinstance(value, str) and not _is_encodable(value):
            raise _invalid("the request holds half of a surrogate pair")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(message: str) -> CompressError:
    return CompressError(_CODE, message, hint="see /docs")
