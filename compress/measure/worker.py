"""One graph in a process of its own: loaded once, then timed on request.

    python -m compress.measure.worker GRAPH [--runtime R] [--threads N] [--provider P]

Requests come on stdin and answers go to what was stdout, one JSON document a line; whatever libraries
print goes to stderr. The first answer says how long loading took. A request names a file of inputs
(`.npz`, never pickled) and how often the graph is to be called. The end of stdin ends the process, so
that none outlives the one who asked.

Needs NumPy, a runtime and `compress.graph` alone, so that it can be sent to a device.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from compress.core.errors import CompressError
from compress.graph.session import open_runner
from compress.measure.memory import peak_rss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    Feeds = dict[str, np.ndarray]
    Call = Callable[[], object]
    Prepare = Callable[[Feeds], Call]


def serve(load: Callable[[], Prepare]) -> None:
    """Load a model and answer requests until stdin ends.

    `load` gives a function that binds the model to inputs; what that gives is the call that is timed.
    """
    answers = _private_stdout()
    try:
        start = time.perf_counter()
        prepare = load()
        _answer(answers, load_s=time.perf_counter() - start)
        _serve(prepare, answers)
    except CompressError as error:
        sys.exit(str(error))
    except Exception as error:  # the runtime's, whose messages may have many lines: the last is told
        traceback.print_exc()
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


def _serve(prepare: Prepare, answers: TextIO) -> None:
    calls: dict[str, Call] = {}
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        path = request["feeds"]
        if path not in calls:
            calls[path] = prepare(read_feeds(Path(path)))
        _answer(answers, nanoseconds=timed(calls[path], request["calls"]))


def timed(call: Call, calls: int) -> list[int]:
    """The wall time of each of `calls` calls in a row, in nanoseconds, and of nothing else."""
    taken = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - start)
    return taken


def read_feeds(path: Path) -> Feeds:
    """The arrays of an `.npz` file by name; pickled objects are refused."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _answer(stream: TextIO, **values: Any) -> None:
    stream.write(
        json.dumps({**values, "peak_rss_bytes": peak_rss_bytes(), "cpu_s": time.process_time()}) + "\n"
    )
    stream.flush()


def _private_stdout() -> TextIO:
    """The stream that was stdout; file descriptor 1 becomes stderr, also for native libraries."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf8")
    os.dup2(2, 1)
    return stream


def main() -> None:
    """Serve the graph that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("graph", type=Path)
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--provider", default="CPUExecutionProvider")
    words = parser.parse_args()

    def load() -> Prepare:
        runner = open_runner(
            words.graph, runtime=words.runtime, threads=words.threads, provider=words.provider
        )
        return lambda feeds: lambda: runner.run(feeds)

    serve(load)


if __name__ == "__main__":
    main()
