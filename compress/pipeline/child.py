"""One step in a process of its own, so that its peak memory is its own and is given back.

Reads a `StepRequest` from stdin and writes `Note` lines and one `StepReply` to the stream that was
its stdout; whatever libraries print goes to stderr instead.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, TextIO

from compress.core.artifact import Context
from compress.core.errors import CompressError
from compress.core.storage import disk_error
from compress.measure.layer_times import MeasuredLayers
from compress.measure.memory import peak_rss_bytes
from compress.pipeline.cache import cache_folder
from compress.pipeline.calibration import RowCalibration
from compress.pipeline.messages import Note, StepReply, StepRequest, failure, place
from compress.pipeline.rows import read_rows
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compress.core.artifact import Advance


class _Sender:
    """A `Progress` that tells the parent."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.notes: list[str] = []

    def send(self, kind: str, value: Note | StepReply) -> None:
        self._stream.write(f'{{"{kind}": {value.model_dump_json()}}}\n')
        self._stream.flush()

    def note(self, message: str) -> None:
        self.notes.append(message)
        self.send("note", Note(event="note", title=message))

    @contextmanager
    def track(self, title: str, total: int | None = None) -> Iterator[Advance]:
        self.send("note", Note(event="open", title=title, total=total))

        def advance(steps: int = 1) -> None:
            self.send("note", Note(event="advance", steps=steps))

        yield advance
        self.send("note", Note(event="close"))


def main() -> None:
    """Serve one request."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf8")
    os.dup2(2, 1)
    sender = _Sender(stream)
    request = StepRequest.model_validate_json(sys.stdin.readline())
    Thread(target=_end_with_parent, daemon=True).start()
    start = time.perf_counter()
    try:
        reply = _apply(request, sender)
    except CompressError as error:
        reply = StepReply(error=failure(disk_error(error) or error))
    except Exception as error:  # libraries have errors of their own for a full disk
        disk = disk_error(error)
        if disk is None:
            raise
        reply = StepReply(error=failure(disk))
    facts = {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": sum(os.times()[:4]),
        "peak_rss_bytes": peak_rss_bytes(),
        "notes": tuple(sender.notes),
    }
    sender.send("reply", reply.model_copy(update=facts))


def _end_with_parent() -> None:
    """End this process when the one that started it has gone, which is when its end of stdin is closed."""
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def _apply(request: StepRequest, sender: _Sender) -> StepReply:
    step = bind(request.step)
    rows = read_rows(request.rows)
    source = request.source.artifact()
    inputs = [spec.tensor() for spec in request.inputs]
    context = Context(
        folder=request.folder,
        calibration=RowCalibration(rows, processor=request.processor, task=source.task, inputs=inputs),
        profile=request.profile,
        progress=sender,
        seed=request.seed,
        original=request.original.artifact(),
        layers=MeasuredLayers(profile=request.profile, folder=cache_folder() / "layers"),
        work=request.work,
    )
    return StepReply(result=place(step.implementation.apply(source, step.config, context)))


if __name__ == "__main__":
    main()
