from __future__ import annotations

import numpy as np
import pytest

from compress.core.artifact import Silent
from compress.measure.latency import interleave
from compress.measure.processes import Contender, WorkerFailed

pytestmark = pytest.mark.model


def contender(folder):
    return Contender(name="torch", model=folder, runtime="torch", task="feature-extraction", threads=1)


def ids(batch, length):
    tokens = np.random.default_rng(0).integers(5, 100, (batch, length))
    return {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}


def test_a_checkpoint_is_timed_as_shipped(tiny_models):
    workloads = {"latency": ids(1, 16), "throughput": ids(8, 16)}
    timings = interleave([contender(tiny_models("bert"))], workloads, progress=Silent(), budget_s=0.2)
    assert timings.latency_ms("torch", "latency").p50 > 0
    assert timings.throughput("torch", "throughput", batch=8) > 0
    assert timings.peak_rss_bytes["torch"] > 100e6


def test_a_broken_checkpoint_says_why(tiny_copy):
    folder = tiny_copy("bert")
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(WorkerFailed, match=r"'torch': .*header too small"):
        interleave([contender(folder)], {"latency": ids(1, 8)}, progress=Silent(), rounds=2)
