from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compress.core.artifact import Silent
from compress.measure.latency import interleave
from compress.measure.processes import Contender, WorkerFailed
from compress.model.load import load_module

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


def test_a_decoder_computes_in_bfloat16(tiny_models):
    decoder = replace(contender(tiny_models("llama")), task="text-generation", dtype="bfloat16")
    assert "bfloat16" in decoder.command()
    workloads = {
        "prefill": {"input_ids": ids(1, 16)["input_ids"], "steps": np.array(0)},
        "decode": {"input_ids": ids(1, 16)["input_ids"], "steps": np.array(4)},
    }
    timings = interleave([decoder], workloads, progress=Silent(), rounds=2)
    assert timings.latency_ms("torch", "decode").p50 > 0


def test_the_dtype_is_that_of_the_weights(tiny_models):
    module = load_module(tiny_models("llama"), "text-generation", dtype=torch.bfloat16)
    assert {value.dtype for value in module.parameters()} == {torch.bfloat16}


def test_a_broken_checkpoint_says_why(tiny_copy):
    folder = tiny_copy("bert")
    (folder / "model.safetensors").write_bytes(b"short")
    with pytest.raises(WorkerFailed, match=r"'torch': .*header too small"):
        interleave([contender(folder)], {"latency": ids(1, 8)}, progress=Silent(), rounds=2)
