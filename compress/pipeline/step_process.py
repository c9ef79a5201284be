"""The process of a step, from the side of the one that started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from compress.core.allocator import with_tuned_allocator
from compress.core.errors import CompressError, InternalError
from compress.core.storage import DISK_FAULT, disk_error
from compress.pipeline.messages import Note, StepReply
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from compress.core.artifact import Progress
    from compress.core.recipe import Step
    from compress.pipeline.messages import StepRequest


def run_child(request: StepRequest, progress: Progress, *, inherited: Sequence[int] = ()) -> StepReply:
    """Run one step in a new process and relay its progress.

    The process ends when this one does: it watches its stdin, which stays open until it has replied.

    Args:
        request: The step and its folders.
        progress: Is told what the step tells.
        inherited: Descriptors of locks that the process keeps until it has ended.

    Returns:
        Its reply, which may be an error.

    Raises:
        CompressError: The process was killed for want of memory, or could not read its files.
        InternalError: The process died without a reply; the last line it wrote is in the message.
    """
    # -P: a module in the working folder must not stand in for one that is installed.
    command = [sys.executable, "-P", "-m", "compress.pipeline.child"]
    environment = environment_of(request.step, os.environ)
    pipe = subprocess.PIPE
    options: Any = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True, "encoding": "utf8"}
    with (
        subprocess.Popen(command, env=environment, pass_fds=inherited, **options) as child,
        ExitStack() as cleanup,
    ):
        cleanup.callback(child.kill)
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        complaints = _drained(child.stderr)
        _send(child.stdin, request)
        reply = _relay(child.stdout, progress, title=f"start {request.step.name}")
        child.wait()
    if reply is None:
        raise _died(request.step, child.returncode, complaints())
    return reply


def _send(stream: IO[str], request: StepRequest) -> None:
    """Write a request to a process; one that is dead has said why on its stderr."""
    try:
        stream.write(f"{request.model_dump_json()}\n")
        stream.flush()
    except BrokenPipeError:
        with suppress(BrokenPipeError):  # of what was not written
            stream.close()


def environment_of(step: Step, environment: Mapping[str, str]) -> Mapping[str, str]:
    """What the process of a step finds in the environment: with `core.allocator` where the step streams."""
    streams = getattr(bind(step).implementation, "STREAMS", False)
    return with_tuned_allocator(environment) if streams else environment


def _drained(stream: IO[str]) -> Any:
    """Read a stream in a thread, so that a full pipe never blocks the child; call for its lines."""
    from threading import Thread

    lines: list[str] = []
    thread = Thread(target=lines.extend, args=(stream,), daemon=True)
    thread.start()

    def collected() -> Sequence[str]:
        thread.join(timeout=5)
        return lines

    return collected


def _relay(stream: IO[str], progress: Progress, *, title: str) -> StepReply | None:
    with ExitStack() as lines, ExitStack() as start:
        # A process that imports torch says nothing for some seconds.
        start.enter_context(progress.track(title))
        advance = None
        for line in stream:
            start.close()
            message = json.loads(line)
            if "reply" in message:
                return StepReply.model_validate(message["reply"])
            note = Note.model_validate(message["note"])
            if note.event == "open":
                advance = lines.enter_context(progress.track(note.title, note.total))
            elif note.event == "close":
                lines.pop_all().close()
            elif note.event == "advance" and advance is not None:
                advance(note.steps)
            elif note.event == "note":
                progress.note(note.title)
    return None


def _died(step: Step, code: int, complaints: Sequence[str]) -> CompressError:
    last = next((line.strip() for line in reversed(complaints) if line.strip()), "no message")
    disk = disk_error(InternalError("step-died", last))
    if disk is not None:
        return disk
    if code == -signal.SIGBUS:  # a file that is mapped into memory cannot be read or written
        message = f"step '{step.name}' could not read its files: {signal.strsignal(signal.SIGBUS)}"
        return CompressError(DISK_FAULT, message, hint="check the disk, free some space on it, and run again")
    if code == -signal.SIGKILL:
        message = f"step '{step.name}' was killed, most likely for want of memory"
        return CompressError("out-of-memory", message, hint="free some memory, or use a smaller model")
    return InternalError("step-died", f"step '{step.name}' died ({code}): {last}", hint="see --debug")
