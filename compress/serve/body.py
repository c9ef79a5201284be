"""A limit on the size of a request, counted as it comes: what a header says may be wrong or missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that reads a body of at most `limit` bytes, and answers 413 to a larger one."""

    def __init__(self, app: App, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand the request on with its whole body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more and len(body) <= self._limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if len(body) > self._limit:
            await _refuse(send, self._limit)
            return
        await self._app(scope, _once(body, receive), send)


def _once(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then whatever comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _refuse(send: Send, limit: int) -> None:
    message = f"the request is larger than {limit} bytes"
    content = json.dumps({"error": {"code": "too-large", "message": message, "hint": "send fewer items"}})
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": content.encode()})
