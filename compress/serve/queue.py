"""Work that blocks, in threads: so many at once, so many waiting, the rest turned away at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class Busy(Exception):
    """Too many are waiting."""


class Queue:
    """At most `workers` calls run at once and at most `waiting` more wait."""

    def __init__(self, *, workers: int, waiting: int) -> None:
        self._limiter: anyio.CapacityLimiter | None = None
        self._workers = workers
        self._most = workers + waiting
        self._inside = 0

    async def run(self, call: Callable[[], Result]) -> Result:
        """What `call` gives, from a thread.

        Raises:
            Busy: the queue is full.
        """
        if self._inside >= self._most:
            raise Busy
        # Made here: a limiter belongs to the event loop that it is made in.
        self._limiter = self._limiter or anyio.CapacityLimiter(self._workers)
        self._inside += 1
        try:
            return await anyio.to_thread.run_sync(call, limiter=self._limiter)
        finally:
            self._inside -= 1
