"""Contenders: models that are timed against each other, each in a process of its own.

Why processes: allocators, thread pools and caches of one runtime then do not touch another's figures,
and peak memory is that of one model.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from compress.core.errors import CompressError
from compress.measure.confinement import NO_LIMITS, Confinement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compress.core.artifact import Progress

PATIENCE_S = 900.0
"""Seconds after which a worker that has not answered counts as hung."""

_NO_MEMORY = ("MemoryError", "bad_alloc", "llocate memory", "out of memory", "failed to map", "cannot map")
"""What Python, C++, torch and the dynamic linker say who are refused memory."""

Runtime = Literal["torch", "onnxruntime", "onnxruntime-genai", "openvino"]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A model to time. `model` is a graph, or a folder for `torch` and `onnxruntime-genai`;
    `threads` are those that compute, the caller's among them; `confinement` limits the whole process.
    `dtype` is what PyTorch computes in.
    """

    name: str
    model: Path
    runtime: Runtime
    task: str
    threads: int
    provider: str = "CPUExecutionProvider"
    confinement: Confinement = NO_LIMITS
    dtype: Literal["float32", "bfloat16"] = "float32"

    def command(self) -> list[str]:
        """The worker's command line."""
        return self.confinement.around(self._worker())

    def _worker(self) -> list[str]:
        # -P: a module in the working folder must not stand in for one that is installed.
        start = [sys.executable, "-P", "-m"]
        threads = ["--threads", str(self.threads)]
        if self.runtime == "torch":
            module = "compress.measure.torch_worker"
            return [*start, module, str(self.model), "--task", self.task, "--dtype", self.dtype, *threads]
        if self.runtime == "onnxruntime-genai":
            return [*start, "compress.measure.genai_worker", str(self.model), *threads]
        where = ["--runtime", self.runtime, "--provider", self.provider]
        return [*start, "compress.measure.worker", str(self.model), *where, *threads]

    def environment(self) -> dict[str, str]:
        """The worker's environment: this one's, with the number of threads and this package's place."""
        package = str(Path(__file__).parents[2])
        known = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([package, known] if known else [package])
        threads = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        return {**os.environ, **threads, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}

    def place(self, feeds: Path) -> str:
        """Where the worker finds a file of inputs."""
        return str(feeds)


class Timed(Protocol):
    """What a process can be started for: a `Contender`, or one on another machine."""

    @property
    def name(self) -> str:
        """By which it is told from the others."""

    @property
    def provider(self) -> str:
        """The execution provider that runs it."""

    @property
    def confinement(self) -> Confinement:
        """The limits that its process runs under."""

    def command(self) -> list[str]:
        """The worker's command line."""

    def environment(self) -> dict[str, str]:
        """The worker's environment."""

    def place(self, feeds: Path) -> str:
        """Where the worker finds a file of inputs; it is brought there."""


class WorkerFailed(CompressError):
    """A contender's process died, hung, or could not load its model."""

    def __init__(self, contender: str, reason: str, *, hint: str = "", out_of_memory: bool = False) -> None:
        """`out_of_memory`: it ran under a limit of memory, and died of that."""
        super().__init__("worker-failed", f"timing '{contender}': {reason}", hint=hint)
        self.contender = contender
        self.out_of_memory = out_of_memory


class Worker:
    """A contender's process, loaded and waiting."""

    def __init__(self, contender: Timed, *, patience_s: float = PATIENCE_S) -> None:
        """Start it and wait until its model is loaded.

        Raises:
            WorkerFailed: it died or did not answer in time; nothing is left running.
        """
        self.name = contender.name
        self._contender = contender
        self._placed: dict[Path, str] = {}
        self._patience_s = patience_s
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = _start(contender, self._complaints)
        try:
            self._answers = _read_in_thread(self._process.stdout)
            first = self._answer()
        except BaseException:
            self.close()
            raise
        self.load_s: float = first["load_s"]
        self._cpu_s: float = first["cpu_s"]
        self.peak_rss_bytes: int = first["peak_rss_bytes"]

    def time(self, feeds: Path, *, calls: int) -> list[float]:
        """Seconds of each of `calls` calls in a row with the arrays in `feeds` (.npz).

        Raises:
            WorkerFailed: the process died or did not answer in time.
        """
        assert self._process.stdin is not None
        if feeds not in self._placed:
            self._placed[feeds] = self._contender.place(feeds)
        try:
            self._process.stdin.write(json.dumps({"feeds": self._placed[feeds], "calls": calls}) + "\n")
            self._process.stdin.flush()
        except OSError:  # the pipe broke because the process is gone
            raise self._died() from None
        answer = self._answer()
        self.peak_rss_bytes, self._cpu_s = answer["peak_rss_bytes"], answer["cpu_s"]
        return [nanoseconds / 1e9 for nanoseconds in answer["nanoseconds"]]

    def cpu_seconds(self) -> float:
        """Processor time that the process had taken at its last answer, over all its threads."""
        return self._cpu_s

    def close(self) -> None:
        """End the process and collect it. It has nothing to save, so it is not asked first."""
        self._process.kill()
        self._process.wait()
        self._contender.confinement.clear(self._process.pid)
        _close(self._process.stdin)
        self._complaints.close()

    def _answer(self) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=self._patience_s)
        except queue.Empty:
            reason = f"no answer for {self._patience_s:.0f} s"
            raise WorkerFailed(self.name, reason, hint="time fewer or smaller inputs") from None
        if not line:
            raise self._died()
        return dict(json.loads(line))

    def _died(self) -> WorkerFailed:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        limits = self._contender.confinement
        killed = code == -9
        reason = said[-1].strip() if said else f"its process ended with code {code}"
        if limits.memory and (killed or any(word in "\n".join(said) for word in _NO_MEMORY)):
            hint = f"the target has {limits.memory}; time it on a target with more"
            return WorkerFailed(self.name, "it ran out of memory", hint=hint, out_of_memory=True)
        if killed:
            return WorkerFailed(self.name, "its process was killed", hint="it may need more memory")
        return WorkerFailed(self.name, reason, hint="see `compress doctor`")


@contextmanager
def contenders_started(
    contenders: Sequence[Timed], *, progress: Progress, patience_s: float = PATIENCE_S
) -> Iterator[dict[str, Worker]]:
    """Workers by name, started one after another so that load times do not disturb each other.
    All are gone when the block ends, however it ends.

    Raises:
        WorkerFailed: one died or did not load in time.
    """
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        with progress.track("load the contenders", len(contenders)) as advance:
            for contender in contenders:
                workers[contender.name] = Worker(contender, patience_s=patience_s)
                stack.callback(workers[contender.name].close)
                advance()
        yield workers


def _start(contender: Timed, complaints: IO[bytes]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        contender.command(),
        env=contender.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        text=True,
        encoding="utf8",
        # A Ctrl-C reaches the parent alone, which then ends its workers without their tracebacks.
        start_new_session=True,
    )


def _read_in_thread(stream: IO[str] | None) -> queue.SimpleQueue[str]:
    """Lines of `stream` as they come, then an empty one; waiting on a pipe has no time limit of its
    own that works on every system.
    """
    assert stream is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        with stream:
            for line in stream:
                lines.put(line)
        lines.put("")

    Thread(target=read, daemon=True).start()
    return lines


def _close(stream: IO[str] | None) -> None:
    try:
        if stream is not None:
            stream.close()
    except OSError:  # unsent requests to a process that is gone
        return
