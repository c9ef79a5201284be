"""Scaled channels folded into blocks of several architectures: where they come from, and what stays."""

from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors import safe_open

from compress.model.load import load_module
from compress.model.producers import LoadedBlock
from compress.model.scaling import BlockScaler
from compress.model.statistics import InputStatistics
from compress.model.walk import BlockWalk
from compress.numerics.groups import fit_groups
from tests.model.test_gptq import WINDOWS, divergence, quantized

pytestmark = pytest.mark.model

FIT = partial(fit_groups, bits=3, group_size=16, symmetric=False)

SOURCES = {
    "llama": {
        "self_attn.q_proj": "input_layernorm",
        "mlp.gate_proj": "post_attention_layernorm",
        "mlp.down_proj": "mlp.up_proj",
    },
    "qwen3-moe": {"self_attn.q_proj": "input_layernorm"},  # a router reads the other norm too
    "phi3": {"self_attn.qkv_proj": "input_layernorm", "mlp.gate_up_proj": "post_attention_layernorm"},
    "gpt2": {"attn.c_attn": "ln_1", "mlp.c_fc": "ln_2"},
    "gemma2": {
        "self_attn.q_proj": "input_layernorm",
        "mlp.gate_proj": "pre_feedforward_layernorm",
        "mlp.down_proj": "mlp.up_proj",
    },
    "gpt-neox": {
        "attention.query_key_value": "input_layernorm",
        "mlp.dense_h_to_4h": "post_attention_layernorm",
    },
}
"""By the first matrix that reads an input: what makes it, where channels can be scaled there. The output of
attention comes from values, but of fewer heads than there are queries; a GELU stands before others."""


@contextmanager
def loaded(source):
    """The first block of a model, the statistics of what its matrices read, and the walk."""
    walk = BlockWalk(source, "text-generation")
    with walk.outer():
        walk.learn(WINDOWS)
        hidden = walk.embed(WINDOWS[:1])
    with walk.block(0) as block:
        prefix, run = f"{walk.prefix}.0.", partial(walk.run, 0)
        named = {prefix + name: value.data for name, value in block.named_parameters()}
        router = f"{prefix}mlp.gate.weight"
        chosen = {name: value for name, value in named.items() if value.ndim > 1 and name != router}
        statistics = InputStatistics(chosen)
        with torch.inference_mode():
            statistics.watch(lambda: run(hidden))
        made = LoadedBlock(block=block, prefix=prefix, chosen=chosen, hidden=hidden, run=run)
        yield made, statistics.inputs, walk


def copied(block):
    return {key: value.clone() for key, value in block.state_dict().items()}


def is_as(block, kept):
    return all(torch.equal(value, kept[key]) for key, value in block.state_dict().items())


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_where_inputs_come_from(name, tiny_models):
    with loaded(tiny_models(name)) as (made, inputs, _):
        kept = copied(made.block)
        found = {}
        for shared in inputs:
            source = made.find(shared, inputs)
            if source is not None:
                reader = shared.weights[0].name.removeprefix(made.prefix).removesuffix(".weight")
                found[reader] = source.weight.removesuffix(".weight")
                assert source.offset == (1.0 if name == "gemma2" and "norm" in source.weight else 0.0)
        assert {reader: found.get(reader) for reader in SOURCES[name]} == SOURCES[name]
        assert not any("act" in reader or "experts" in reader for reader in found)
        assert is_as(made.block, kept)


def test_a_block_is_watched_once_and_then_only_tried(tiny_models, monkeypatch):
    with loaded(tiny_models("llama")) as (made, inputs, _):
        runs, tries = [], []
        is_same = LoadedBlock.is_same
        monkeypatch.setattr(LoadedBlock, "is_same", lambda self: tries.append(1) or is_same(self))
        counted = replace(made, run=lambda hidden: runs.append(1) or made.run(hidden))
        assert any([counted.find(shared, inputs) for shared in inputs])
        assert len(runs) == 2 + len(tries)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_a_scaled_block_does_what_it_did(name, tiny_models):
    with loaded(tiny_models(name)) as (made, inputs, walk):
        for shared in inputs:  # as if some channels were large
            shared.hessian.divide(np.where(np.arange(shared.hessian.size) % 7, 1, 0.02).astype(np.float32))
        before, hessians = made.added(), [shared.hessian.matrix for shared in inputs]
        done = BlockScaler(walk).scale(made, inputs, lambda matrix, weights: FIT(matrix, importance=weights))
        assert done.changed
        np.testing.assert_allclose(made.added(), before, rtol=1e-3, atol=1e-5)
        moved = [not np.allclose(old, one.hessian.matrix) for old, one in zip(hessians, inputs, strict=True)]
        assert sum(moved) >= 2


def test_changed_norms_are_stored_and_the_model_stays_itself(tiny_models, tmp_path):
    source = tiny_models("llama")
    settings = {"bits": 8, "embedding_bits": 8, "head_bits": 8}
    module = load_module(source, "text-generation")
    scaled = quantized(source, tmp_path / "scaled", **settings)
    plain = quantized(source, tmp_path / "plain", channel_scaling=False, **settings)
    assert divergence(source, scaled) < 0.01
    name = "model.layers.0.input_layernorm.weight"
    with safe_open(plain / "block-00000.safetensors", "pt") as tensors:
        assert torch.equal(tensors.get_tensor(name).float(), module.get_parameter(name))


def test_a_block_that_would_change_is_left_alone(tiny_models, monkeypatch):
    with loaded(tiny_models("llama")) as (made, inputs, walk):
        kept = copied(made.block)
        hessians = [shared.hessian.matrix for shared in inputs]
        scaler = BlockScaler(walk)
        source = made.find(inputs[0], inputs)
        monkeypatch.setattr(LoadedBlock, "find", lambda self, shared, inputs: source)  # of another input
        monkeypatch.setattr(
            "compress.model.scaling.best_scaling",
            lambda matrices, hessian, fit: np.linspace(0.5, 2, len(hessian)).astype(np.float32),
        )
        some = [shared for shared in inputs if shared.hessian.size == inputs[0].hessian.size]
        done = scaler.scale(made, some, lambda matrix, weights: FIT(matrix, importance=weights))
        assert not done.changed
        assert not done.outputs
        for key, value in made.block.state_dict().items():
            torch.testing.assert_close(value, kept[key])
        for shared, hessian in zip(inputs, hessians, strict=True):
            np.testing.assert_array_equal(shared.hessian.matrix, hessian)
