"""Answers in JSON, errors among them: always ASCII, never with NaN, never with what the client sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Generator

    from compress.serve.body import Send


class Json(JSONResponse):
    """A JSON answer."""

    def render(self, content: Any) -> bytes:
        """Write the content as ASCII; bytes are JSON already."""
        return content if isinstance(content, bytes) else encoded(content)


def encoded(content: Any) -> bytes:
    """Write a value as JSON in ASCII.

    Raises:
        CompressError: it is not finite.
    """
    try:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    except ValueError:
        message = "the model's answer holds NaN or an infinite number"
        raise CompressError("answer-not-finite", message, hint="see the artifact's report") from None


def encoding(work: Generator[None, None, list[Any]]) -> Generator[None, None, list[bytes]]:
    """Do work that gives a list, and write its items as JSON, each in a part of its own.

    A million numbers take seconds to write, in which the server would answer nobody.
    """
    items = []
    for item in (yield from work):
        items.append(encoded(item))
        yield
    return items


def json_of_list(name: str, items: list[bytes], **facts: Any) -> Json:
    """Build an answer with a list of items that are written already, after `facts`."""
    head = encoded({**facts, name: None}).removesuffix(b"null}")
    return Json(head + b"[" + b",".join(items) + b"]}")


def error_answer(status: int, code: str, message: str, hint: str, *, close: bool = False) -> Json:
    """Build the answer of a request that failed.

    Args:
        status: the HTTP status.
        code: a stable name of the failure.
        message: what was found and what was expected.
        hint: what to do.
        close: whether the connection ends with this answer.
    """
    content = {"error": {"code": code, "message": message, "hint": hint}}
    headers = {"connection": "close"} if close else {}
    if status == 503:
        headers["retry-after"] = "1"
    return Json(content, status_code=status, headers=headers)


async def send_error(send: Send, answer: Json) -> None:
    """Send an answer from outside of the routes."""
    start = {"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
