"""The curvature in a model's outputs, gathered block by block, against a backward of the whole model."""

import numpy as np
import pytest
import torch

from compress.model.curvature import Curvature
from compress.model.load import load_module
from compress.model.observe import Weight
from compress.model.walk import BlockWalk
from tests.model.test_gptq import WINDOWS, divergence, quantized

pytestmark = pytest.mark.model

SOME = WINDOWS[:3, :16]


class Killed(Exception):
    pass


def curvature(source, work, kill_after=None):
    walk = BlockWalk(source, "text-generation")

    def chosen(index, block):
        path = f"{walk.prefix}.{index}"
        return {f"{path}.{name}": value.data for name, value in block.named_parameters() if value.ndim == 2}

    told = []

    def advance(count):
        told.append(count)
        if kill_after is not None and sum(told) > kill_after:
            raise Killed

    made = Curvature(walk=walk, windows=SOME, work=work, chosen=chosen)
    made.gather(advance)
    assert sum(told) == 2 * walk.count
    return made, walk


def expected(source):
    """g g^T, |g| = 1, of every linear layer (GPT-2's too), by hooks on the whole model."""
    module = load_module(source, "text-generation")
    found = {}

    def hook(name):
        def add(layer, given, gradients):
            rows = gradients[0].reshape(-1, gradients[0].shape[-1]).double()
            rows /= rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
            found[name] = found.get(name, 0) + rows.T @ rows / SOME.size

        return add

    for name, layer in module.named_modules():
        if name.count(".") > 2 and getattr(layer, "weight", None) is not None and layer.weight.ndim == 2:
            layer.register_full_backward_hook(hook(f"{name}.weight"))
    for number, window in enumerate(SOME):
        logits = module(torch.from_numpy(window[None])).logits[0]
        generator = torch.Generator().manual_seed(number)
        drawn = torch.multinomial(torch.softmax(logits.detach(), -1), 1, generator=generator)[:, 0]
        torch.nn.functional.cross_entropy(logits, drawn, reduction="sum").backward()
    return found


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2"])
def test_it_is_that_of_the_whole_model(name, tiny_models, tmp_path):
    source = tiny_models(name)
    made, walk = curvature(source, tmp_path / "work")
    wanted = expected(source)
    seen = 0
    for index in range(walk.count):
        for key, matrix in wanted.items():
            if key.startswith(f"{walk.prefix}.{index}."):
                (block,) = made.of(index, [Weight(key)])
                scale = float(matrix.abs().max())
                np.testing.assert_allclose(block, matrix, atol=2e-4 * scale, err_msg=key)
                seen += 1
    assert seen == len(wanted) >= 4 * walk.count


def test_blocks_along_the_diagonal(tiny_models, tmp_path, monkeypatch):
    source = tiny_models("llama")
    whole, walk = curvature(source, tmp_path / "whole")
    monkeypatch.setattr("compress.model.curvature.SPAN", 10)
    parts, _ = curvature(source, tmp_path / "parts")
    weight = Weight(f"{walk.prefix}.1.mlp.down_proj.weight")
    (block,) = whole.of(1, [weight])
    start = 0
    for part in parts.of(1, [weight]):
        end = start + len(part)
        assert len(part) <= 10
        np.testing.assert_allclose(part, block[start:end, start:end], rtol=1e-4, atol=1e-9)
        start = end
    assert start == len(block)


@pytest.mark.parametrize("kill_after", [0, 2, 3])
def test_a_killed_walk_goes_on(kill_after, tiny_models, tmp_path):
    source = tiny_models("llama")
    whole, walk = curvature(source, tmp_path / "whole")
    with pytest.raises(Killed):
        curvature(source, tmp_path / "killed", kill_after)
    again, _ = curvature(source, tmp_path / "killed")
    weight = Weight(f"{walk.prefix}.0.self_attn.q_proj.weight")
    for one, other in zip(whole.of(0, [weight]), again.of(0, [weight]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_experts_have_none(tiny_models, tmp_path):
    made, walk = curvature(tiny_models("qwen3-moe"), tmp_path / "work")
    name = f"{walk.prefix}.0.mlp.experts.down_proj"
    assert made.of(0, [Weight(name, 0)]) == []
    assert made.of(0, [Weight(f"{walk.prefix}.0.self_attn.q_proj.weight"), Weight(name, 0)]) == []


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3-moe"])
def test_gptq_with_output_feedback(name, tiny_models, tmp_path):
    source = tiny_models(name)
    settings = {"output_feedback": True, "output_samples": 4, "output_length": 32}
    made = quantized(source, tmp_path / "made", work=tmp_path / "work", **settings)
    plain = quantized(source, tmp_path / "plain")
    assert not (tmp_path / "work" / "curvature").exists()
    assert divergence(source, made) < 0.5
    assert (made / "block-00000.safetensors").read_bytes() != (plain / "block-00000.safetensors").read_bytes()
