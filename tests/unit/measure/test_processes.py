from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest

from compress.core.artifact import Silent
from compress.core.errors import CompressError
from compress.measure.processes import Contender, Worker, WorkerFailed, contenders_started
from tests.unit.measure.graphs import feeds, products


def contender(graph, name="one"):
    return Contender(name=name, model=graph, runtime="onnxruntime", task="feature-extraction", threads=1)


@dataclass(frozen=True, kw_only=True)
class Scripted(Contender):
    """A contender whose process runs a script of the test's instead."""

    script: str

    def command(self) -> list[str]:
        return [sys.executable, "-c", textwrap.dedent(self.script)]


def scripted(tmp_path, script):
    return Scripted(name="odd", model=tmp_path, runtime="onnxruntime", task="none", threads=1, script=script)


@pytest.fixture
def inputs(tmp_path):
    path = tmp_path / "feeds.npz"
    np.savez(path, **feeds())
    return path


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_worker_times_calls_and_tells_load_and_memory(tmp_path, inputs):
    graph = products(tmp_path / "model.onnx")
    with contenders_started([contender(graph)], progress=Silent()) as workers:
        worker = workers["one"]
        taken = worker.time(inputs, calls=5)
        assert len(taken) == 5
        assert all(0 < seconds < 5 for seconds in taken)
        assert worker.load_s > 0
        assert 10e6 < worker.peak_rss_bytes < 1e9
        assert worker.cpu_seconds() > 0


def test_workers_are_gone_after_the_block(tmp_path):
    graph = products(tmp_path / "model.onnx")
    before = children()
    with contenders_started([contender(graph, "a"), contender(graph, "b")], progress=Silent()):
        assert len(children() - before) == 2
    assert children() == before


def test_workers_are_gone_after_an_interrupt(tmp_path):
    graph = products(tmp_path / "model.onnx")
    before = children()
    with pytest.raises(KeyboardInterrupt), contenders_started([contender(graph)], progress=Silent()):
        raise KeyboardInterrupt
    assert children() == before


def test_the_first_is_gone_when_the_second_fails(tmp_path):
    graph = products(tmp_path / "model.onnx")
    before = children()
    bad = contender(tmp_path / "absent.onnx", "bad")
    with (
        pytest.raises(WorkerFailed) as caught,
        contenders_started([contender(graph), bad], progress=Silent()),
    ):
        pass
    assert caught.value.contender == "bad"
    assert "'bad'" in caught.value.message
    assert "graph-missing" in caught.value.message
    assert children() == before


def test_a_killed_worker_is_named(tmp_path, inputs):
    graph = products(tmp_path / "model.onnx")
    with contenders_started([contender(graph)], progress=Silent()) as workers:
        (pid,) = (child.pid for child in psutil.Process().children() if "worker" in " ".join(child.cmdline()))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerFailed, match=r"'one'.*killed"):
            workers["one"].time(inputs, calls=1)


def test_a_failing_call_gives_the_last_line_of_stderr(tmp_path):
    graph = products(tmp_path / "model.onnx")
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, x=np.ones((2, 3), np.float32))
    with contenders_started([contender(graph)], progress=Silent()) as workers:
        with pytest.raises(WorkerFailed) as caught:
            workers["one"].time(wrong, calls=1)
        assert "INVALID_ARGUMENT" in caught.value.message
        assert "\n" not in caught.value.message


def test_pickled_inputs_are_refused(tmp_path):
    graph = products(tmp_path / "model.onnx")
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, x=np.array([{"a": 1}], dtype=object))
    with (
        contenders_started([contender(graph)], progress=Silent()) as workers,
        pytest.raises(CompressError, match="allow_pickle"),
    ):
        workers["one"].time(pickled, calls=1)


def test_a_silent_worker_is_given_up(tmp_path):
    before = children()
    with pytest.raises(WorkerFailed, match="no answer"):
        Worker(scripted(tmp_path, "import time; time.sleep(60)"), patience_s=0.5)
    assert children() == before


def test_the_last_line_of_a_dead_worker_is_told(tmp_path):
    script = "import sys; print('first', file=sys.stderr); sys.exit('the reason')"
    with pytest.raises(WorkerFailed, match="the reason") as caught:
        Worker(scripted(tmp_path, script))
    assert "first" not in caught.value.message


def test_a_worker_that_dies_silently_has_its_code_told(tmp_path):
    with pytest.raises(WorkerFailed, match="ended with code 7"):
        Worker(scripted(tmp_path, "import os; os._exit(7)"))


def test_what_libraries_print_is_no_answer(tmp_path, inputs, monkeypatch):
    noisy = tmp_path / "noisy"
    noisy.mkdir()
    (noisy / "sitecustomize.py").write_text("import atexit, os; os.write(2, b'hello'); print(end='')")
    monkeypatch.setenv("PYTHONPATH", str(noisy))
    graph = products(tmp_path / "model.onnx")
    with contenders_started([contender(graph)], progress=Silent()) as workers:
        assert len(workers["one"].time(inputs, calls=1)) == 1


def test_modules_in_the_working_folder_are_not_imported(tmp_path, inputs, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    graph = products(tmp_path / "model.onnx")
    with contenders_started([contender(graph)], progress=Silent()) as workers:
        assert workers["one"].time(inputs, calls=1)


def test_workers_end_with_a_killed_parent(tmp_path):
    graph = products(tmp_path / "model.onnx")
    script = f"""
        from pathlib import Path
        import psutil, time
        from compress.measure.processes import Contender, Worker
        worker = Worker(Contender(name="a", model=Path({str(graph)!r}), runtime="onnxruntime",
                                  task="none", threads=1))
        print(worker._process.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    assert gone(pid, within_s=20)


def gone(pid: int, *, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False
