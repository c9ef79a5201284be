from __future__ import annotations

import pytest

from compress.core.artifact import Silent
from compress.measure import latency
from compress.measure.energy import Rapl, find_meter
from compress.measure.processes import Contender
from tests.unit.measure.graphs import feeds, products


def domain(root, name, kind, energy, span=1000):
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{kind}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{span}\n")
    return folder / "energy_uj"


def test_packages_are_added_and_their_parts_are_not(tmp_path):
    first = domain(tmp_path, "intel-rapl:0", "package-0", 100)
    second = domain(tmp_path, "intel-rapl:1", "package-1", 500)
    core, platform = (
        domain(tmp_path, "intel-rapl:0:0", "core", 50),
        domain(tmp_path, "intel-rapl:2", "psys", 50),
    )
    meter = find_meter("CPUExecutionProvider", powercap=tmp_path)
    assert isinstance(meter, Rapl)
    assert meter.joules() == 0
    for file, value in ((first, 130), (second, 570), (core, 900), (platform, 900)):
        file.write_text(str(value))
    assert meter.joules() == pytest.approx(100e-6)


def test_a_counter_that_starts_again_goes_on(tmp_path):
    file = domain(tmp_path, "intel-rapl:0", "package-0", 990, span=999)
    meter = find_meter("CPUExecutionProvider", powercap=tmp_path)
    file.write_text("10")
    assert meter.joules() == pytest.approx(20e-6)
    file.write_text("30")
    assert meter.joules() == pytest.approx(40e-6)


def test_without_counters_that_may_be_read_there_is_no_meter(tmp_path):
    assert find_meter("CPUExecutionProvider", powercap=tmp_path / "absent") is None
    domain(tmp_path, "intel-rapl:0", "package-0", 1).write_text("hidden")
    assert find_meter("CPUExecutionProvider", powercap=tmp_path) is None
    assert find_meter("CoreMLExecutionProvider", powercap=tmp_path) is None


class Steady:
    """A meter that counts a joule whenever it is read."""

    name = "steady"

    def __init__(self):
        self.read = 0

    def joules(self):
        self.read += 1
        return float(self.read)


def test_energy_is_by_call_and_of_every_contender(tmp_path, monkeypatch):
    graph = products(tmp_path / "a" / "model.onnx", count=1, size=64)
    contenders = [
        Contender(name=name, model=graph, runtime="onnxruntime", task="none", threads=1) for name in "ab"
    ]
    monkeypatch.setattr(latency, "find_meter", lambda provider: Steady())
    timings = latency.interleave(contenders, {"x": feeds(1, 64)}, progress=Silent(), rounds=2)
    for name in "ab":
        assert len(timings.joules[name, "x"]) == 2
        calls = len(timings.rounds[name, "x"][0]) + 1  # and one to warm up
        assert timings.joules_each(name, "x") == pytest.approx(1 / calls)
    monkeypatch.setattr(latency, "find_meter", lambda provider: None)
    timings = latency.interleave(contenders[:1], {"x": feeds(1, 64)}, progress=Silent(), rounds=2)
    assert timings.joules_each("a", "x") is None
