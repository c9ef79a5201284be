"""Connections that are ended where their client is too slow, and never more of them than a number.

uvicorn waits for the head of a request, and for a client to read its answer, as long as that takes.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

    from compress.serve.limits import Limits

_TAKING = 3
"""So many times the time for sending a request are given for taking its answer."""

_ERROR = {"code": "busy", "message": "too many connections", "hint": "try again"}
_FULL = json.dumps({"error": _ERROR}).encode()
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)


class Connection(H11Protocol):
    """A connection over HTTP/1.1 that ends when its client sends or takes too slowly."""

    limits: ClassVar[Limits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._silent_since = self._taken_since = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None
        self._is_ended = False

    @property
    def is_silent(self) -> bool:
        """Whether the server waits for the head of a request."""
        return not self._is_ended and (self.cycle is None or self.cycle.response_complete)

    @property
    def silent_since(self) -> float:
        """When the server began to wait for it, on the clock of the event loop."""
        return self._silent_since

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Watch the connection; end another where there are too many, or else this one."""
        super().connection_made(transport)
        self._silent_since = self.loop.time()
        self._look_again()
        if sum(not peer.is_ended for peer in self._peers()) > self.limits.connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch it no longer."""
        self._is_ended = True
        if self._watch:
            self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Count the time to the next request from now on."""
        self._silent_since = self.loop.time()
        super().on_response_complete()

    @property
    def is_ended(self) -> bool:
        """Whether it was ended or lost."""
        return self._is_ended

    def end(self) -> None:
        """Close the connection without waiting for its client; what it has not taken is thrown away."""
        self._is_ended = True
        connection = self.transport.get_extra_info("socket")
        if connection is not None:  # or else the system keeps trying for minutes, with megabytes
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _peers(self) -> list[Connection]:
        return [peer for peer in self.connections if isinstance(peer, Connection)]

    def _make_room(self) -> None:
        silent = [peer for peer in self._peers() if peer.is_silent and peer is not self]
        if silent:
            min(silent, key=lambda peer: peer.silent_since).end()
            return
        self._is_ended = True
        self.transport.write(_REFUSAL)
        self.transport.close()

    def _look_again(self) -> None:
        self._watch = self.loop.call_later(self.limits.patience_s / 4, self._look)

    def _look(self) -> None:
        now = self.loop.time()
        if self.transport.get_write_buffer_size():
            self._silent_since = now  # it is busy taking an answer
        else:
            self._taken_since = now
        late = now - self._silent_since > self.limits.patience_s and self.is_silent
        if late or now - self._taken_since > _TAKING * self.limits.patience_s:
            self.end()
            return
        self._look_again()


def connections_within(limits: Limits) -> type[Connection]:
    """Make the class of connections with these limits, as uvicorn takes it."""
    return type("LimitedConnection", (Connection,), {"limits": limits})
