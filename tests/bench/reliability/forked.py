"""Processes that begin where this one is, with everything imported: importing torch takes seconds.

What is killed and what is locked are real processes; only their start is quicker than a user's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


def start(work: Callable[[], int], log: Path) -> int:
    """Fork a process with a group of its own that does some work; its id.

    Args:
        work: Returns the exit code.
        log: The file that its stdout and stderr are added to.
    """
    pid = os.fork()
    if not pid:
        _end(lambda: _logged(work, log))
    with contextlib.suppress(OSError):  # the process itself may have been faster, or have ended
        os.setpgid(pid, pid)
    return pid


def _logged(work: Callable[[], int], log: Path) -> int:
    os.setpgid(0, 0)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    return work()


def exit_code(pid: int) -> int:
    """Wait for a process; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _end(work: Callable[[], int]) -> Any:
    code = 1
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class ForkedStep:
    """Stands in for `subprocess.Popen` where a step's process is started: the same process, forked."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], pass_fds: Sequence[int], **options: Any
    ) -> None:
        pipes = [os.pipe() for _ in range(3)]
        self.returncode: int | None = None
        self._pid = os.fork()
        if not self._pid:
            _serve((pipes[0][0], pipes[1][1], pipes[2][1]), env, pass_fds)
        for descriptor in (pipes[0][0], pipes[1][1], pipes[2][1]):
            os.close(descriptor)
        self.stdin = os.fdopen(pipes[0][1], "w", encoding="utf8")
        self.stdout = os.fdopen(pipes[1][0], encoding="utf8")
        self.stderr = os.fdopen(pipes[2][0], encoding="utf8")

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = exit_code(self._pid)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            os.kill(self._pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.wait()
        for stream in (self.stdin, self.stdout):
            stream.close()


def _serve(streams: tuple[int, int, int], env: Mapping[str, str], pass_fds: Sequence[int]) -> None:
    """Be a step's process: with its three streams, and of other descriptors only those that are passed."""
    from compress.pipeline import child

    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in pass_fds:
            try:
                os.close(int(name))
            except OSError:  # the one that listed them
                continue
    os.environ.update(env)
    sys.stdin = os.fdopen(0, encoding="utf8", closefd=False)

    def work() -> int:
        child.main()
        return 0

    _end(work)
