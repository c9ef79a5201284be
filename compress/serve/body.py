"""A request's body, read before its route: bounded in bytes and in time, and plain JSON.

What a header says of the size may be wrong or missing, so bytes are counted as they come.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from compress.core.errors import CompressError
from compress.serve.answers import error_answer, send_error
from compress.serve.queue import Busy
from compress.serve.strict import check_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping

    from compress.serve.answers import Json
    from compress.serve.limits import Limits

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

_DRAINED = 8
"""So many times the largest body are read and forgotten of one that is larger, so that its client, who
sends first and reads then, gets the answer and not a broken connection."""


class _TooLarge(Exception):
    """There are more bytes than a body may have."""


class _Gone(Exception):
    """The client closed its connection."""


class WholeBody:
    """ASGI middleware that reads a request's body and ends the request when its client goes away."""

    def __init__(self, app: App, *, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand the request on with its whole body, or answer what is wrong with it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        async with self._accounted(body):
            try:
                await self._read(body, receive)
            except _Gone:
                return
            except (_TooLarge, TimeoutError, Busy, CompressError) as error:
                await send_error(send, self._refusal(error))
                return
            await self._answer(scope, bytes(body), receive, send)

    @asynccontextmanager
    async def _accounted(self, body: bytearray) -> AsyncIterator[None]:
        """Count the bytes of a body among those that are held until its request is answered."""
        try:
            yield
        finally:
            self._held -= len(body)

    async def _read(self, body: bytearray, receive: Receive) -> None:
        with anyio.fail_after(self._limits.patience_s):
            size = 0
            async for chunk in _chunks(receive):
                size += len(chunk)
                if size <= self._limits.body_bytes:
                    self._append(body, chunk)
                if size > _DRAINED * self._limits.body_bytes:
                    break
        if size > self._limits.body_bytes:
            raise _TooLarge
        if body:
            check_json(bytes(body), containers=self._limits.containers)

    def _append(self, body: bytearray, chunk: bytes) -> None:
        if self._held + len(chunk) > self._limits.held_bytes:
            raise Busy
        body += chunk
        self._held += len(chunk)

    def _refusal(self, error: Exception) -> Json:
        if isinstance(error, _TooLarge):
            message = f"the request is larger than {self._limits.body_bytes} bytes"
            return error_answer(413, "too-large", message, "send fewer items", close=True)
        if isinstance(error, TimeoutError):
            message = f"the request did not arrive within {self._limits.patience_s:g} seconds"
            return error_answer(408, "too-slow", message, "send it faster, or fewer items", close=True)
        if isinstance(error, CompressError):
            return error_answer(400, error.code, error.message, error.hint)
        return error_answer(503, "busy", "too many requests are being read", "try again", close=True)

    async def _answer(self, scope: Message, body: bytes, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as tasks:

            async def cancel_when_gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(cancel_when_gone)
            await self._app(scope, _once(body), send)
            tasks.cancel_scope.cancel()


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _once(body: bytes) -> Receive:
    """Give the body in one message, and nothing after it."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    return receive
