"""Short forms of tests/bench/reliability: equal runs at once, failing disks, and flips in a cache."""

import random
import re
import shutil
import subprocess
import sys

import pytest

from compress.core.paths import folder_digest
from compress.pipeline import execute
from tests.bench.reliability import concurrent
from tests.bench.reliability.flips import flip

pytestmark = pytest.mark.model


def test_equal_runs_at_once_make_each_step_once_and_one_publishes():
    assert at_once("--processes", "4", "--rounds", "3", "--real", "0") == (
        "Count(rounds=3, runs=12, published=3, made=6, errors=0, differing=0, deadlocks=0, litter=0)"
    )


def test_equal_gptq_runs_at_once_share_one_step():
    assert at_once("--processes", "3", "--rounds", "0", "--real", "1") == (
        "Count(rounds=1, runs=3, published=3, made=1, errors=0, differing=0, deadlocks=0, litter=0)"
    )


def at_once(*flags):
    """Run the script of equal runs at once; its counts."""
    return f"Count({script('concurrent', *flags).rpartition('Count(')[2]}"


def script(name, *flags):
    """Run a script of tests/bench/reliability; what it printed."""
    words = [sys.executable, "-m", f"tests.bench.reliability.{name}", *flags]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout.strip()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the library that injects faults is built by gcc")
def test_a_fault_at_any_write_or_read_ends_with_exit_2_and_the_next_run_mends_it():
    counts = script("disk_full", "--steps", "written", "--faults", "12", "--reads", "4")
    for name, faults in (("writes", 12), ("reads", 4)):
        line = next(line for line in counts.splitlines() if line.startswith(f"{name} Count("))
        figures = dict(re.findall(r"(\w+)=(\d+)", line))
        assert int(figures["exit_2"]) + int(figures["finished"]) == int(figures["faults"]) == faults
        assert "other_exits=[], untold=[], differing=0, resumed_failed=[]" in line


def test_no_flip_in_the_cache_is_published(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    for name in ("run_child", "refuse_step"):  # which the round replaces
        monkeypatch.setattr(execute, name, getattr(execute, name))
    (tmp_path / "model").mkdir()
    out, randomness = tmp_path / "artifacts" / "0", random.Random(0)

    def published():
        shutil.rmtree(out, ignore_errors=True)
        assert concurrent.take_part(tmp_path, 0, model=tmp_path / "model").startswith("published")
        return folder_digest(out)

    expected = published()
    for flips in range(1, 16):
        files = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
        flip(randomness.choice([path for path in files if path.stat().st_size]), randomness)
        assert published() == expected
        made = len((tmp_path / "made").read_text())
        assert made == 2 + flips  # each is seen, and one step is made again
