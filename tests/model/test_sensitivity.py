"""Sensitivity of groups of matrices against evaluations of the whole model, and the bits that follow."""

import json
import shutil

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from compress.core.artifact import Artifact, ArtifactKind
from compress.core.config import parse
from compress.core.errors import CompressError
from compress.model.load import load_module
from compress.model.mixed import allot, average_bits, measured_once
from compress.model.quantized import QuantizedCheckpoint
from compress.model.sensitivity import Group, Probe
from compress.model.walk import BlockWalk
from compress.numerics.groups import fit_groups
from compress.passes.export import genai
from compress.passes.gptq_settings import SENSITIVITY
from compress.passes.quantize import gptq
from tests.model.test_decoders import step
from tests.model.test_gptq import WINDOWS, divergence, quantized

pytestmark = pytest.mark.model


def rounded(matrix, bits):
    grid = fit_groups(matrix.numpy().copy(), bits=bits, group_size=16, symmetric=False)
    return torch.from_numpy(grid.decode(grid.encode(matrix.numpy())))


def naive(source, names, bits):
    """KL, nats a token, of the whole model with some of its parameters rounded."""
    windows = torch.from_numpy(WINDOWS[:3])
    with torch.inference_mode():
        module = load_module(source, "text-generation")
        expected = torch.log_softmax(module(windows).logits, -1)
        transposed = "GPT2" in type(module).__name__
        for name in names:
            value = module.get_parameter(name)
            for matrix in value if value.ndim == 3 else [value]:
                view = matrix.T if transposed else matrix
                view.copy_(rounded(view.contiguous(), bits))
        found = torch.log_softmax(module(windows).logits, -1)
    return float((expected.exp() * (expected - found)).sum(-1).mean())


def probe_of(source, work):
    walk = BlockWalk(source, "text-generation")

    def chosen(index, block):
        path = f"{walk.prefix}.{index}"
        named = ((f"{path}.{key}", value.data) for key, value in block.named_parameters())
        return {key: value for key, value in named if value.ndim > 1 and "gate.weight" not in key}

    grid = {"bits": (8, 3, 4), "group_size": 16, "symmetric": False}
    return Probe(walk=walk, windows=WINDOWS[:3], work=work, chosen=chosen, **grid)


@pytest.mark.parametrize(("name", "groups"), [("llama", 4), ("gpt2", 4), ("qwen2-moe", 5)])
def test_it_is_what_the_whole_model_loses(name, groups, tiny_models, tmp_path):
    source = tiny_models(name)
    steps = []
    found = probe_of(source, tmp_path / "work").run(steps.append)
    assert steps == [0, 1, 1]
    assert len([group for group in found if ".0." in group.names[0]]) >= groups
    for group in found:
        assert group.divergence[3] == pytest.approx(naive(source, group.names, 3), rel=1e-3, abs=1e-6)
        assert group.divergence[4] == pytest.approx(naive(source, group.names, 4), rel=1e-3, abs=1e-6)
        assert group.divergence[8] < 0.02 * group.divergence[3] + 1e-6
    module = load_module(source, "text-generation")
    assert sum(group.elements for group in found) == sum(
        module.get_parameter(name).numel() for group in found for name in group.names
    )


def test_a_killed_measurement_goes_on(tiny_models, tmp_path, monkeypatch):
    source = tiny_models("llama")
    whole = probe_of(source, tmp_path / "whole").run(lambda steps: None)
    through, steps = Probe._through, []

    def killed(self, index, hidden):
        if index == 1 and len(list((self.work / "2").glob("*.bin"))) == 3:
            raise KeyboardInterrupt
        return through(self, index, hidden)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Probe, "_through", killed)
        probe_of(source, tmp_path / "work").run(lambda steps: None)
    assert probe_of(source, tmp_path / "work").run(steps.append) == whole
    assert steps == [1, 1]


def test_bits_go_where_they_matter_and_keep_to_the_average():
    groups = [
        Group(names=(f"m{i}",), elements=1000 * (1 + i % 3), divergence={4: 0.1 * i, 8: 0.0004 * i})
        for i in range(12)
    ]
    total = sum(group.elements for group in groups)
    bits = allot(groups, budget=5.0 * total)
    assert 4.7 < average_bits(groups, bits) <= 5.0
    gain = [0.0996 * i / group.elements for i, group in enumerate(groups)]
    worst = min(value for value, own in zip(gain, bits, strict=True) if own == 8)
    best = max(value for value, own in zip(gain, bits, strict=True) if own == 4)
    assert worst > 0.6 * best
    assert set(allot(groups, budget=8.0 * total)[1:]) == {8}
    assert set(allot(groups, budget=4.0 * total)) == {4}


def with_a_quiet_block(source, folder):
    """A copy whose first block adds little to the states: random blocks matter alike."""
    shutil.copytree(source, folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for part in ("self_attn.o_proj", "mlp.down_proj"):
        tensors[f"model.layers.0.{part}.weight"] *= 0.1
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def test_mixed_bits_lose_less_than_equal_ones_of_that_size(tiny_models, tmp_path):
    source = with_a_quiet_block(tiny_models("llama"), tmp_path / "source")
    common = {"embedding_bits": None, "head_bits": None}
    equal = quantized(source, tmp_path / "equal", bits=3, **common)
    chosen = {"average_bits": 3, "choices": (2, 3, 4, 8), "probe_length": 48}
    mixed = quantized(source, tmp_path / "mixed", **chosen, **common)
    layouts = QuantizedCheckpoint(mixed).layouts
    sizes = {name: layout.shape[0] * layout.shape[1] for name, layout in layouts.items()}
    average = sum(layouts[name].bits * size for name, size in sizes.items()) / sum(sizes.values())
    assert 2.9 < average <= 3
    assert len({layout.bits for layout in layouts.values()}) > 1
    assert divergence(source, mixed) <= divergence(source, equal)
    facts = json.loads((mixed / SENSITIVITY).read_text())
    assert facts["average_bits"] == pytest.approx(average)
    for group in facts["groups"]:
        assert {layouts[name].bits for name in group["names"]} == {group["bits"]}


def stored_bytes(folder):
    """Of codes, half-precision scales and zero points, and the rest in fp32."""
    checkpoint = QuantizedCheckpoint(folder)
    bits = [
        (layout.bits + (16 + layout.bits) / layout.group_size) * layout.shape[0] * layout.shape[1]
        for layout in checkpoint.layouts.values()
    ]
    return (sum(bits) + 32 * sum(checkpoint.tensor(name).numel() for name in checkpoint.others)) / 8


@pytest.mark.parametrize(("name", "limit"), [("llama", 23_000), ("llama-tied", 61_000)])
def test_a_size_is_kept_to_and_used(name, limit, tiny_models, tmp_path):
    chosen = {"max_size": f"{limit}B", "head_bits": 4, "probe_length": 48}
    folder = quantized(tiny_models(name), tmp_path / "out", **chosen)
    assert 0.9 * limit < stored_bytes(folder) <= limit


def test_of_a_size_and_an_average_both_hold(tiny_models, tmp_path):
    common = {"head_bits": 4, "probe_length": 48, "average_bits": 7}
    free = quantized(tiny_models("llama"), tmp_path / "free", **common, max_size="1MB")
    tight = quantized(tiny_models("llama"), tmp_path / "tight", **common, max_size="22kB")
    averages = [json.loads((one / SENSITIVITY).read_text())["average_bits"] for one in (free, tight)]
    assert averages[1] < averages[0] <= 7
    assert stored_bytes(tight) <= 22_000 < stored_bytes(free)


def test_a_size_that_cannot_be_reached_is_refused(tiny_models, tmp_path):
    with pytest.raises(CompressError, match="size-unreachable"):
        quantized(tiny_models("llama"), tmp_path / "out", max_size="9kB", probe_length=48)


def test_it_is_measured_once(tmp_path):
    groups = [Group(names=("a", "b"), elements=12, divergence={4: 0.5, 8: 0.1})]
    assert measured_once(tmp_path / "found", lambda: groups) == groups

    def again():
        raise AssertionError

    assert measured_once(tmp_path / "found", again) == groups


def test_an_average_that_no_choice_reaches_is_refused():
    with pytest.raises(CompressError, match="average_bits must lie within"):
        parse(gptq.Config, {"average_bits": 3.5}, code="step-invalid", where="step")
    mixed, plain = (gptq.storage(one)["matrix"] for one in (gptq.Config(average_bits=4.5), gptq.Config()))
    assert mixed.total_bits(1, 64) / 64 == pytest.approx(4.5 + 20 / 32)
    assert plain.total_bits(1, 64) / 64 == pytest.approx(4 + 20 / 32)


def test_a_graph_holds_both_widths(tiny_models, tmp_path):
    chosen = {"average_bits": 6, "probe_length": 48}
    source = quantized(tiny_models("llama-tied"), tmp_path / "mixed", **chosen)
    artifact = Artifact(kind=ArtifactKind.QUANTIZED, folder=source, task="text-generation")
    made = step(genai, artifact, {}, tmp_path / "made")  # which compares the logits
    nodes = onnx.load(made.folder / "model.onnx", load_external_data=False).graph.node
    widths = [
        attribute.i
        for node in nodes
        for attribute in node.attribute
        if node.op_type == "MatMulNBits" and attribute.name == "bits"
    ]
    assert set(widths) == {4, 8}
