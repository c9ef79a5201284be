"""Mixtures of experts through GPTQ to a graph with cache: one node for all experts of a layer."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest
import torch

import compress
from compress.core.artifact import Artifact, ArtifactKind
from compress.core.errors import CompressError, InternalError
from compress.decoder import parity
from compress.decoder.experts import BankReader, make_banks
from compress.decoder.rows import Source
from compress.decoder.skeleton import Values, skeleton
from compress.graph.ort import OrtRunner
from compress.model.dequantize import load_dequantized
from compress.model.load import load_module
from compress.model.quantized import Layout, QuantizedCheckpoint, QuantizedMatrix, write_block, write_index
from compress.model.rounding import UNREAD, rounded_only
from compress.passes.export import genai
from compress.passes.quantize import round as rounding
from tests.model.test_decoders import NEW_TOKENS, greedy, step
from tests.model.test_gptq import quantized

pytestmark = pytest.mark.model


def exported(folder, kind, target, **config):
    source = Artifact(kind=kind, folder=folder, task="text-generation")
    return step(genai, source, {"accuracy_level": 1, **config}, target).folder


BUILT = [
    ("qwen3-moe-wide", 4, 2),
    ("qwen2-moe", 3, 1),
    ("mixtral", 8, 2),
    ("gpt-oss", 4, 2),
    ("lfm2-moe", 4, 2),
]
TRACED = [
    ("deepseek-v3", 4, 1),
    ("olmoe", 3, 2),
    ("granite-moe", 8, 2),
    ("qwen3-moe", 4, 2),
    ("gpt-oss-narrow", 4, 2),
]
"""Names, bits, and layers with experts. Qwen3-MoE has heads of 8, which the builder's attention does not
rotate."""


@pytest.mark.parametrize(("name", "bits", "layers"), BUILT + TRACED)
def test_the_graph_writes_what_the_module_writes(name, bits, layers, tiny_models, tmp_path):
    source = quantized(tiny_models(name), tmp_path / "quantized", bits=bits)
    folder = exported(source, ArtifactKind.QUANTIZED, tmp_path / "made")  # which compares the logits
    model = compress.load(folder)
    ids = model.tokens("the quick brown fox")
    session = model._decoder.session(ids, longest=len(ids) + NEW_TOKENS)
    assert [session.next() for _ in range(NEW_TOKENS)] == greedy(source, ids)
    nodes = onnx.load(folder / "model.onnx", load_external_data=False).graph.node
    assert sum(node.op_type == "QMoE" for node in nodes) == layers


def test_experts_are_preferred_in_the_graph_as_the_checkpoint_says(tiny_models, tiny_copy, tmp_path):
    module = load_module(tiny_models("deepseek-v3"), "text-generation")
    module.model.layers[1].mlp.gate.e_score_correction_bias.copy_(torch.linspace(-1, 1, 8))
    source = tiny_copy("deepseek-v3")
    module.save_pretrained(source)
    codes = quantized(source, tmp_path / "quantized", bits=8)
    folder = exported(codes, ArtifactKind.QUANTIZED, tmp_path / "made")
    expected = load_dequantized(codes, "text-generation")  # by transformers' own loader
    with torch.inference_mode():
        parity.compare_cached(
            OrtRunner(folder / "model.onnx"),
            lambda ids: expected(torch.from_numpy(ids)).logits.numpy(),
            vocabulary=160,
            positions=80,
        )


def test_plain_rounding_reaches_experts(tiny_models, tmp_path):
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=tiny_models("mixtral"), task="text-generation")
    made = step(rounding, artifact, {"bits": 8, "group_size": 16}, tmp_path / "rounded")
    layouts = QuantizedCheckpoint(made.folder).layouts
    assert sum("experts" in name for name in layouts) == 2 * 8 * 3
    folder = exported(made.folder, ArtifactKind.QUANTIZED, tmp_path / "made")  # which compares the logits
    ids = torch.arange(5, 40)[None]
    with torch.inference_mode():
        expected = load_module(artifact.folder, artifact.task)(ids).logits
        found = load_dequantized(made.folder, artifact.task)(ids).logits
    assert 0 < float((found - expected).abs().max()) < 0.05 * float(expected.abs().max())
    assert (folder / "genai_config.json").exists()


def test_values_are_those_that_transformers_loads(tiny_models):
    source = tiny_models("mixtral")
    module = load_module(source, "text-generation")
    names = [name for name, _ in module.named_parameters()]

    class Plain:
        layouts: dict = {}
        others = [name for path in source.glob("*.safetensors") for name in _keys(path)]
        folder = source

        def tensor(self, name):
            return next(_tensor(path, name) for path in source.glob("*.safetensors"))

    values = Values(Plain(), skeleton(source))
    for name in names:
        assert torch.equal(values(name), module.get_parameter(name)), name


def _keys(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def _tensor(path, name):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


def test_experts_of_different_widths_and_groups_are_stored_in_one_form(tmp_path):
    generator = np.random.default_rng(0)

    def matrix(rows, columns, bits, group):
        layout = Layout(bits=bits, group_size=group, symmetric=False, shape=(rows, columns))
        codes = generator.integers(0, 1 << bits, (rows, columns)).astype(np.uint8)
        zeros = generator.integers(0, 1 << bits, (rows, layout.groups)).astype(np.uint8)
        scales = generator.random((rows, layout.groups)).astype(np.float32)
        parts = (torch.from_numpy(part) for part in (codes, scales, zeros))
        return QuantizedMatrix(layout=layout, **dict(zip(("codes", "scales", "zeros"), parts, strict=True)))

    matrices = {
        "0.gate": matrix(6, 96, 4, 32),
        "0.up": matrix(6, 96, 8, 48),
        "1.gate": matrix(6, 96, 3, 96),
        "1.up": matrix(6, 96, 4, 32),
        "0.down": matrix(5, 32, 4, 16),
        "1.down": matrix(5, 32, 2, 32),
    }
    write_block(tmp_path / "block-00000.safetensors", matrices, {})
    write_index(tmp_path)
    checkpoint = QuantizedCheckpoint(tmp_path)
    gate_up = [(Source(f"{i}.gate", 0, 6), Source(f"{i}.up", 0, 6)) for i in range(2)]
    down = [(Source(f"{i}.down", 0, 5),) for i in range(2)]
    banks = make_banks(checkpoint.layouts, gate_up, down, paired=True)
    assert [(bank.bits, bank.block_size, bank.shape) for bank in banks] == [
        (8, 16, (12, 96)),
        (8, 16, (5, 32)),
    ]
    reader = BankReader(checkpoint)
    for expert in range(2):
        gate, up = (matrices[f"{expert}.{part}"].dequantized().numpy() for part in ("gate", "up"))
        paired = np.stack([gate, up], axis=1).reshape(12, 96)
        np.testing.assert_array_equal(_unpacked(reader, banks[0])[expert], paired)
        np.testing.assert_array_equal(
            _unpacked(reader, banks[1])[expert], matrices[f"{expert}.down"].dequantized().numpy()
        )


def _unpacked(reader, bank):
    """The values of 8-bit codes, by their definition."""
    spread = np.repeat(np.arange(bank.blocks), bank.block_size)
    codes, scales, zeros = reader.weights(bank), reader.scales(bank), reader.zeros(bank)
    return (codes.astype(np.float32) - zeros[..., spread]) * scales[..., spread]


def test_experts_that_no_block_divides_are_refused():
    layout = Layout(bits=4, group_size=24, symmetric=True, shape=(8, 72))
    with pytest.raises(CompressError, match="group-size-unsupported"):
        make_banks({"a": layout}, [(Source("a", 0, 8),)], [(Source("a", 0, 8),)], paired=True)


@pytest.mark.parametrize("name", ["deepseek-v3", "olmoe"])
def test_plain_experts_are_one_node_that_the_choice_is_traced_for(name, tiny_models, tmp_path):
    folder = exported(tiny_models(name), ArtifactKind.CHECKPOINT, tmp_path / "made")  # which compares logits
    nodes = onnx.load(folder / "model.onnx", load_external_data=False).graph.node
    assert sum(node.op_type == "MoE" for node in nodes) == (1 if name == "deepseek-v3" else 2)
    assert all(node.domain in ("", "com.microsoft") for node in nodes)


@pytest.mark.parametrize("name", ["gpt-oss", "gpt-oss-narrow"])
def test_gates_and_ups_are_limited_in_the_graph(name, tiny_models, tiny_copy, tmp_path):
    module = load_module(tiny_models(name), "text-generation")
    seen = []
    for layer in module.model.layers:
        experts = layer.mlp.experts
        experts.gate_up_proj_bias.data.mul_(200)  # far above and below the limit of 7
        experts._apply_gate = partial(_seen, seen, experts._apply_gate)
    with torch.inference_mode():
        module(torch.arange(5, 40)[None])
    assert all(values.max() > 7 > -7 > values.min() for values in seen)
    source = tiny_copy(name)
    module.save_pretrained(source)
    exported(source, ArtifactKind.CHECKPOINT, tmp_path / "made")  # which compares the logits
    exported(quantized(source, tmp_path / "codes", bits=8), ArtifactKind.QUANTIZED, tmp_path / "coded")


def _seen(seen, apply_gate, values):
    seen.append(values)
    return apply_gate(values)


def test_other_experts_are_refused_by_name(tiny_models, tmp_path):
    with pytest.raises(CompressError, match=r"experts\.gate_up_proj' of Llama4ForCausalLM") as caught:
        exported(tiny_models("llama4"), ArtifactKind.CHECKPOINT, tmp_path / "made")
    assert caught.value.code == "experts-unsupported"


def test_one_text_that_agrees_is_enough_where_scores_may_tie(monkeypatch):
    calls = []

    def compared(runner, ids, expected, *, prompt, relative):
        calls.append(ids)
        if len(calls) < 3:
            raise InternalError("parity", "differs", hint="")
        return ["agrees"]

    monkeypatch.setattr(parity, "compare_tokens", compared)
    given = {"vocabulary": 9, "positions": 60}
    with pytest.raises(InternalError):
        parity.compare_cached(None, lambda ids: ids, **given)
    assert parity.compare_cached(None, lambda ids: ids, texts=3, **given) == ["agrees"]
    assert not np.array_equal(calls[1], calls[2])


def test_many_matrices_that_were_only_rounded_are_one_sentence():
    few = rounded_only({"a": "3 tokens", "b": "4 tokens"})
    assert few == ["a was rounded without feedback: 3 tokens", "b was rounded without feedback: 4 tokens"]
    left = rounded_only({"a": "3 tokens", "b": UNREAD})
    assert left == ["a was rounded without feedback: 3 tokens", "b was left as it is: no product reads it"]
    (line,) = rounded_only({f"m{i}": "3 tokens" for i in range(9)})
    assert line == "9 matrices were rounded without feedback, as m0: 3 tokens"
