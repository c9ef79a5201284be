"""Work in threads, part by part, so that a large request does not keep the small ones waiting.

A request's work is a generator that yields after each bounded part (a batch of items, a token). Requests
take turns with their parts, first come, first served. So a short request waits for parts of the others,
never for all that they ask for; and work stops after a part where its client is gone.
"""

from __future__ import annotations

from collections import Counter, deque
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.to_thread

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from compress.serve.limits import Limits

Result = TypeVar("Result")

_TURN_S = 0.02
"""Seconds after which a request whose parts are short gives its turn to the next."""


class Busy(Exception):
    """Too many are waiting."""


class OutOfTime(CompressError):
    """Thrown into work that has computed for as long as a request may; it may end with what it has."""


class Admission:
    """Lets a number of requests in at once, and next always the client with the fewest inside."""

    def __init__(self, *, active: int, waiting: int) -> None:
        self._free = active
        self._most_waiting = waiting
        self._inside: Counter[str] = Counter()
        self._waiting: dict[str, deque[anyio.Event]] = {}

    @asynccontextmanager
    async def admitted(self, client: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it.

        Raises:
            Busy: too many are waiting, or this client takes half of the places to wait already.
        """
        if self._free:
            self._enter(client)
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._leave(client)

    def _enter(self, client: str) -> None:
        self._free -= 1
        self._inside[client] += 1

    def _leave(self, client: str) -> None:
        self._free += 1
        self._inside[client] -= 1
        if not self._inside[client]:
            del self._inside[client]
        self._admit_next()

    def _admit_next(self) -> None:
        # Clients stand in the order in which they began to wait, so that equals are served by age.
        client = min(self._waiting, key=lambda name: self._inside[name], default=None)
        if client is None:
            return
        queue = self._waiting.pop(client)
        entry = queue.popleft()
        if queue:
            self._waiting[client] = queue  # at the end of the line
        self._enter(client)
        entry.set()

    async def _wait(self, client: str) -> None:
        queue = self._waiting.get(client, deque())
        count = sum(map(len, self._waiting.values()))
        if count >= self._most_waiting or 2 * len(queue) >= self._most_waiting:
            raise Busy
        entry = anyio.Event()
        queue.append(entry)
        self._waiting[client] = queue
        try:
            await entry.wait()
        except BaseException:
            if entry.is_set():
                self._leave(client)
            else:
                queue.remove(entry)
                self._forget_idle(client)
            raise

    def _forget_idle(self, client: str) -> None:
        if not self._waiting[client]:
            del self._waiting[client]


class Queue:
    """Computes requests in at most `workers` threads, in turns."""

    def __init__(self, limits: Limits) -> None:
        self._admission = Admission(active=limits.active, waiting=limits.waiting)
        self._workers = limits.workers
        self._compute_s = limits.compute_s
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Generator[None, None, Result], *, client: str = "") -> Result:
        """Return what `work` returns, computed in turns with other requests.

        Args:
            work: yields after each part; closed where the caller is cancelled.
            client: who asks, for an equal share of the places.

        Raises:
            Busy: the queue is full.
            OutOfTime: the work is larger than a request's may be, and does not end with what it has.
        """
        # Made here: a limiter belongs to the event loop that it is made in. It serves in order of arrival.
        self._limiter = self._limiter or anyio.CapacityLimiter(self._workers)
        task = _Task(work, self._compute_s)
        try:
            async with self._admission.admitted(client):
                while not await anyio.to_thread.run_sync(task.advance, limiter=self._limiter):
                    pass
        finally:
            work.close()
        return task.result


class _Task(Generic[Result]):
    """Work and the time that it may still compute."""

    result: Result

    def __init__(self, work: Generator[None, None, Result], seconds: float) -> None:
        self._work = work
        self._left_s = seconds

    def advance(self) -> bool:
        """Compute parts for one turn; whether the work is done."""
        begin = monotonic()
        try:
            while (spent := monotonic() - begin) < min(_TURN_S, self._left_s):
                next(self._work)
            if spent >= self._left_s:
                self._work.throw(_out_of_time())
        except StopIteration as stop:
            self.result = stop.value
            return True
        self._left_s -= monotonic() - begin
        return False


def _out_of_time() -> OutOfTime:
    message = "the request takes more computing than one request may"
    return OutOfTime("work-limit", message, hint="send fewer or shorter items, or ask for fewer tokens")
