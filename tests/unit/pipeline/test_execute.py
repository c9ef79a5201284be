"""What names a step's result in the cache."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compress.core.allocator import VARIABLE
from compress.core.artifact import Silent
from compress.core.recipe import Step
from compress.measure.host import detect_host
from compress.pipeline import execute
from compress.pipeline.execute import Executor
from compress.pipeline.step_process import environment_of
from tests.unit.graphs import PROFILE


@pytest.fixture
def key(tmp_path, monkeypatch):
    executor = Executor(
        steps=tmp_path, rows=tmp_path / "rows", rows_digest="r", profile=PROFILE, progress=Silent(), seed=0,
        processor=tmp_path,
    )  # fmt: skip
    here = detect_host()

    def named(cpu, name, **config):
        monkeypatch.setattr(execute, "detect_host", lambda: replace(here, cpu=cpu))
        return executor._key("parent", Step(name=name, config=config))

    return named


@pytest.mark.parametrize("name", ["prune.ffn", "prune.heads"])
def test_widths_that_were_timed_belong_to_their_host(key, name):
    assert key("A", name, latency=0.7) == key("A", name, latency=0.7) != key("B", name, latency=0.7)


@pytest.mark.parametrize(
    ("name", "config"), [("prune.ffn", {"ratio": 0.3}), ("prune.layers", {"count": 1}), ("export.onnx", {})]
)
def test_what_was_not_timed_is_any_hosts(key, name, config):
    assert key("A", name, **config) == key("B", name, **config)


@pytest.mark.parametrize(
    ("name", "streams"), [("quantize.gptq", True), ("export.genai", True), ("heal.distill", False)]
)
def test_memory_is_given_back_often_where_a_model_is_streamed_and_kept_where_it_is_trained(name, streams):
    found = environment_of(Step(name=name, config={}), {"HOME": "/"})
    assert found["HOME"] == "/"
    assert ("mmap_threshold" in found.get(VARIABLE, "")) == streams


@pytest.mark.parametrize(
    ("name", "config", "reads"),
    [
        ("quantize.round", {"bits": 4}, ""),
        ("quantize.weights", {}, ""),
        ("quantize.embeddings", {}, ""),
        ("quantize.half", {}, ""),
        ("export.onnx", {}, ""),
        ("export.fuse", {}, ""),
        ("export.gptq", {}, ""),
        ("export.bitsandbytes", {}, ""),
        ("export.genai", {}, ""),
        ("export.genai", {"accuracy_level": "auto"}, "rows"),
        ("export.genai", {"kv_cache": "int8"}, "rows"),
        ("quantize.gptq", {}, "rows"),
        ("quantize.gptq", {"output_feedback": True}, "rows seed"),
        ("quantize.static", {}, "rows seed profile"),
        ("quantize.static", {"reduce_range": False}, "rows seed"),
        ("quantize.smooth", {}, "rows seed"),
        ("quantize.dynamic", {}, "profile"),
        ("quantize.dynamic", {"reduce_range": True}, ""),
        ("quantize.dynamic", {"stored": 4}, "rows profile"),
        ("quantize.dynamic", {"stored": 4, "items": 0}, "profile"),
        ("prune.layers", {"count": 1, "choose": "spread"}, ""),
        ("prune.layers", {"keep": [0]}, ""),
        ("prune.layers", {"count": 1, "choose": "measured"}, "rows"),
        ("prune.ffn", {"ratio": 0.3}, "rows seed"),
        ("prune.ffn", {"latency": 0.7}, "rows seed profile"),
        ("prune.heads", {"latency": 0.7}, "rows seed profile"),
        ("prune.sparse", {"method": "magnitude", "ratio": 0.5}, ""),
        ("prune.sparse", {"method": "wanda", "ratio": 0.5}, "rows"),
        ("prune.vocabulary", {}, "rows"),
        ("heal.distill", {}, "rows seed"),
    ],
)
def test_a_result_is_made_again_only_where_something_it_depends_on_changed(tmp_path, name, config, reads):
    def key(**changed):
        settings = {"rows_digest": "r", "profile": PROFILE, "seed": 0, **changed}
        executor = Executor(
            steps=tmp_path, rows=tmp_path / "rows", progress=Silent(), processor=tmp_path, **settings
        )
        return executor._key("parent", Step(name=name, config=config))

    others = {
        "rows": key(rows_digest="other"),
        "seed": key(seed=1),
        "profile": key(profile=PROFILE.model_copy(update={"int8_saturates": True})),
    }
    assert {what for what, other in others.items() if other != key()} == set(reads.split())
