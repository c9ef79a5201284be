from __future__ import annotations

import numpy as np
import psutil
import pytest

from compress.core.artifact import Silent
from compress.measure.latency import MINIMUM_ROUNDS, Timings, interleave, ratio
from compress.measure.processes import Contender, WorkerFailed
from tests.unit.measure.graphs import feeds, products


def contender(name, graph):
    return Contender(name=name, model=graph, runtime="onnxruntime", task="none", threads=1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    slow = products(folder / "slow" / "model.onnx", count=32, size=256)
    fast = products(folder / "fast" / "model.onnx", count=1, size=256)
    return [contender("slow", slow), contender("fast", fast)]


@pytest.fixture(scope="module")
def timings(pair):
    workloads = {"latency": feeds(1, 256), "throughput": feeds(64, 256)}
    return interleave(pair, workloads, progress=Silent(), budget_s=0.5)


def test_every_contender_has_the_same_rounds(timings):
    for workload in ("latency", "throughput"):
        slow, fast = timings.rounds["slow", workload], timings.rounds["fast", workload]
        assert len(slow) == len(fast) >= MINIMUM_ROUNDS
        assert all(calls and min(calls) > 0 for calls in slow + fast)


def test_more_work_takes_longer(timings):
    found = ratio(timings, baseline="slow", contender="fast", workload="throughput")
    assert found.low <= found.value <= found.high
    assert found.low > 1.5


def test_figures_follow_from_raw_times(timings):
    seconds = timings.seconds("slow", "latency")
    latency = timings.latency_ms("slow", "latency")
    assert latency.p50 == pytest.approx(np.median(seconds) * 1e3)
    assert latency.p50 <= latency.p95 <= seconds.max() * 1e3
    doubled = timings.throughput("slow", "latency", batch=2)
    assert doubled == pytest.approx(2 / np.median(seconds))


def test_load_and_memory_are_told(timings):
    assert set(timings.load_s) == set(timings.peak_rss_bytes) == {"slow", "fast"}
    assert min(timings.load_s.values()) > 0


def test_rounds_can_be_fixed(pair):
    found = interleave(pair, {"latency": feeds(1, 256)}, progress=Silent(), rounds=3)
    assert len(found.rounds["slow", "latency"]) == 3
    assert ratio(found, baseline="slow", contender="fast", workload="latency").value > 0


def test_nothing_is_left_running(pair):
    before = psutil.Process().children(recursive=True)
    interleave(pair, {"latency": feeds(1, 256)}, progress=Silent(), rounds=2)
    assert psutil.Process().children(recursive=True) == before


def test_inputs_that_do_not_fit_name_the_contender(pair):
    with pytest.raises(WorkerFailed, match="'slow'"):
        interleave(pair, {"latency": feeds(1, 8)}, progress=Silent(), rounds=2)


def test_raw_times_are_kept_in_order():
    timings = Timings(
        rounds={("a", "w"): [[3.0, 1.0, 2.0], [5.0]]}, load_s={"a": 1.0}, peak_rss_bytes={"a": 1}
    )
    assert timings.seconds("a", "w").tolist() == [3.0, 1.0, 2.0, 5.0]
    assert timings.medians("a", "w").tolist() == [2.0, 5.0]
