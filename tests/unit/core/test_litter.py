"""What killed runs left is removed; what a running process uses, and what a run goes on from, is not."""

import os
import signal
import subprocess
import sys
import time

import pytest

from compress.core.cached import take
from compress.core.litter import remove_litter
from compress.pipeline.cache import Cleaned, clean, workspace
from tests.unit.core.test_cached import fill

RUNNING = """
import sys, time
from pathlib import Path
from compress.core.cached import take
from compress.core.paths import whole_file
from compress.core.publication import published
from compress.pipeline.cache import workspace
root = Path(sys.argv[1])
def make(beside, lock):
    (beside / "half").write_text("x")
    (root / "steps" / "key.work").mkdir()
    (root / "steps" / "key.work" / "block").write_text("finished")
    with whole_file(root / "layers" / "table.json") as part, published(root / "failed" / "out"):
        print("making", flush=True)
        time.sleep(60)
with workspace():
    take(root / "steps" / "key", make, name="step", note=print)
"""


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A process in the midst of everything that is made in the cache."""
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path))
    words = [sys.executable, "-c", RUNNING, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "making\n"
        yield process
        process.kill()


def names(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


def test_a_running_process_loses_nothing(running, tmp_path):
    before = names(tmp_path)
    remove_litter(tmp_path)
    assert clean(tmp_path).in_use == 2
    assert names(tmp_path) == before


def test_the_next_run_removes_what_a_killed_one_left_but_what_it_goes_on_from(running, tmp_path):
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert len(names(tmp_path)) > 8
    with workspace():
        left = ["failed", "layers", "steps", "steps/key.work", "steps/key.work/block"]
        assert [name for name in names(tmp_path) if not name.startswith("run.")] == left
    assert names(tmp_path) == left
    clean(tmp_path)
    assert names(tmp_path) == []


def test_what_a_finished_step_had_kept_and_what_nobody_came_for_is_removed(tmp_path):
    take(tmp_path / "steps" / "a", fill, name="step", note=print).release()
    for name in ("a.work", "b.work", "c.work"):
        (tmp_path / "steps" / name).mkdir()
    long_ago = time.time() - 40 * 24 * 3600
    os.utime(tmp_path / "steps" / "b.work", (long_ago, long_ago))
    (tmp_path / "steps" / "d.seal").write_text("{}")
    remove_litter(tmp_path)
    assert sorted(os.listdir(tmp_path / "steps")) == ["a", "a.seal", "c.work", "d.seal"]


def test_cleaning_leaves_what_is_used(tmp_path):
    with take(tmp_path / "steps" / "a", fill, name="step", note=print):
        take(tmp_path / "steps" / "b", fill, name="step", note=print).release()
        assert clean(tmp_path).in_use == 1
        assert sorted(os.listdir(tmp_path / "steps")) == ["a", "a.seal"]
    assert clean(tmp_path).in_use == 0
    assert clean(tmp_path) == Cleaned(freed_bytes=0, in_use=0)
    assert list(tmp_path.iterdir()) == []
