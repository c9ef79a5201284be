"""Progress where there is no terminal: a log says that work starts, how far it is, and that it ended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compress.core.artifact import Advance

_EVERY_S = 30.0
"""Seconds between lines about work that goes on; CI systems end jobs that are silent for minutes."""


@contextmanager
def plain_lines(
    stream: TextIO, title: str, total: int | None, *, every_s: float = _EVERY_S
) -> Iterator[Advance]:
    """Write a line at the start of work, one now and then, and one at its end.

    Args:
        stream: where lines go.
        title: what is done.
        total: steps that are expected, None where that is unknown.
        every_s: seconds between lines about how far the work is.

    Yields:
        The function that counts steps that are done.
    """
    begin = time.monotonic()
    done = 0

    def advance(steps: int = 1) -> None:
        nonlocal done
        done += steps

    def say(text: str) -> None:
        stream.write(f"{title}{text}\n")
        stream.flush()

    def say_how_far() -> None:
        share = f"{min(done / total, 1):.0%} after " if total else "still at it after "
        say(f": {share}{time.monotonic() - begin:.0f} s")

    say(" ...")
    with _repeated(say_how_far, every_s):
        yield advance
    say(f": {time.monotonic() - begin:.1f} s")


@contextmanager
def _repeated(action: Callable[[], None], every_s: float) -> Iterator[None]:
    """Do something every so many seconds, in a thread, until the block ends."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(every_s):
            action()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
