"""AutoGPTQ's layout, read back by its own formula and by transformers' configuration."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.model.dequantize import load_dequantized
from compress.model.load import load_state
from compress.model.quantized import Layout, QuantizedCheckpoint, QuantizedMatrix
from compress.passes.export import gptq as export
from tests.model.test_gptq import WINDOWS, quantized
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model


def exported(source, folder, **config):
    folder.mkdir()
    context = Context(folder=folder, calibration=Fixed(), profile=PROFILE, progress=Silent())
    artifact = Artifact(kind=ArtifactKind.QUANTIZED, folder=source, task="text-generation")
    export.apply(artifact, export.Config(**config), context)
    return folder / "checkpoint"


def read(folder):
    tensors = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    return tensors


def bits_of(words, bits, axis):
    """Codes along an axis, taken out of the stream of bits one at a time, in Python's integers."""
    words = np.moveaxis(words.numpy(), axis, 0).astype(np.uint32)
    lines = []
    for column in words.T:
        stream = sum(int(word) << (32 * place) for place, word in enumerate(column))
        count = 32 * len(column) // bits
        lines.append([(stream >> (bits * i)) & ((1 << bits) - 1) for i in range(count)])
    return np.moveaxis(np.array(lines).T, 0, axis)


def as_autogptq_reads(tensors, bits, *, more=1):
    """weight[k, n] = scales[g_idx[k], n] * (qweight[k, n] - (qzeros[g_idx[k], n] + more)), as (N, K); `more`
    is 0 in the second version.
    """
    state = {name: tensor for name, tensor in tensors.items() if "weight" in name and "qweight" not in name}
    state |= {name: tensor for name, tensor in tensors.items() if name.endswith("bias")}
    for name in [name for name in tensors if name.endswith("qweight")]:
        stem = name.removesuffix("qweight")
        codes, zeros = bits_of(tensors[name], bits, 0), bits_of(tensors[f"{stem}qzeros"], bits, 1) + more
        group = tensors[f"{stem}g_idx"].numpy()
        values = tensors[f"{stem}scales"].float().numpy()[group] * (codes - zeros[group])
        state[f"{stem}weight"] = torch.from_numpy(values.T.astype(np.float32))
    return state


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("llama", {"bits": 4, "symmetric": True}),
        ("llama", {"bits": 8}),
        ("llama", {"bits": 4}),
        ("llama", {"bits": 2, "group_size": -1, "symmetric": True}),
        ("gpt2", {"bits": 3, "symmetric": True}),
        # Of 96 columns: the last group is short.
        ("llama-wide", {"bits": 3, "group_size": 64, "symmetric": True}),
        ("qwen3-moe", {"bits": 4, "symmetric": True}),
    ],
)
def test_it_holds_what_was_quantized(name, config, tiny_models, tmp_path):
    source = quantized(tiny_models(name), tmp_path / "quantized", **config)
    folder = exported(source, tmp_path / "out", shard_bytes=20_000)
    assert (folder / "model.safetensors.index.json").exists()
    first = config.get("symmetric", False)
    written = json.loads((folder / "config.json").read_text())["quantization_config"]
    assert written["checkpoint_format"] == ("gptq" if first else "gptq_v2")
    state = as_autogptq_reads(read(folder), config["bits"], more=1 if first else 0)
    if name == "gpt2":  # its own layout is (K, N)
        state |= {
            key: value.T.contiguous() for key, value in state.items() if ".c_" in key and "weight" in key
        }
    ids = torch.from_numpy(WINDOWS[:1])
    with torch.inference_mode():
        found = load_state(tmp_path / "quantized", "text-generation", state)(ids).logits
        expected = load_dequantized(source, "text-generation")(ids).logits
    assert float((found - expected).abs().max()) < 0.02 * float(expected.abs().max())  # embeddings in fp16


def test_other_bits_are_listed_by_layer(tiny_models, tmp_path):
    chosen = {"average_bits": 6, "choices": (4, 8), "symmetric": True, "probe_length": 32}
    source = quantized(tiny_models("llama"), tmp_path / "quantized", **chosen)
    folder = exported(source, tmp_path / "out")
    written = json.loads((folder / "config.json").read_text())["quantization_config"]
    checkpoint = QuantizedCheckpoint(source)
    blocks = [name for name in checkpoint.layouts if name not in checkpoint.tables]
    assert {checkpoint.layouts[name].bits for name in blocks} == {4, 8}
    state, tensors = {}, read(folder)
    for name in blocks:
        layer = name.removesuffix(".weight")
        # GPTQModel's rule: the first pattern that matches, without its sign, overrides.
        own = [rule for pattern, rule in written["dynamic"].items() if re.match(pattern[2:], layer)]
        bits = (own or [written])[0]["bits"]
        assert bits == checkpoint.layouts[name].bits
        state |= as_autogptq_reads({key: tensors[key] for key in tensors if key.startswith(layer)}, bits)
    state |= {key: tensor for key, tensor in tensors.items() if key.endswith(".weight")}
    ids = torch.from_numpy(WINDOWS[:1])
    with torch.inference_mode():
        found = load_state(source, "text-generation", state)(ids).logits
        expected = load_dequantized(source, "text-generation")(ids).logits
    assert float((found - expected).abs().max()) < 0.02 * float(expected.abs().max())


def test_transformers_reads_the_configuration(tiny_models, tmp_path):
    from transformers import AutoConfig, GPTQConfig

    source = quantized(tiny_models("llama"), tmp_path / "quantized", symmetric=True)
    folder = exported(source, tmp_path / "out")
    written = AutoConfig.from_pretrained(folder).quantization_config
    found = GPTQConfig.from_dict(written)
    assert (found.bits, found.group_size, found.sym, found.desc_act) == (4, 16, True, False)
    assert json.loads((folder / "quantize_config.json").read_text())["bits"] == 4
    assert (folder / "model.safetensors").exists()


def test_golden_tensors():
    layout = Layout(bits=4, group_size=8, symmetric=False, shape=(8, 8))
    codes = torch.arange(8, dtype=torch.uint8).repeat(8, 1)  # each row: 0 .. 7
    zeros = torch.tensor([[1], [2], [3], [4], [5], [6], [7], [8]], dtype=torch.uint8)
    scales = torch.full((8, 1), 0.5)
    matrix = QuantizedMatrix(layout=layout, codes=codes, scales=scales, zeros=zeros)
    made = export.pack_matrix("a.weight", matrix, less=1)
    assert made["a.qweight"].tolist() == [[0x76543210] * 8]
    assert made["a.qzeros"].tolist() == [[0x76543210]]
    assert made["a.scales"].tolist() == [[0.5] * 8]
    assert made["a.scales"].dtype == torch.float16
    assert made["a.g_idx"].tolist() == [0] * 8


def test_a_zero_at_the_lowest_code_stays():
    layout = Layout(bits=4, group_size=8, symmetric=False, shape=(8, 8))
    codes = (torch.arange(8, dtype=torch.uint8) * 2 + 1).repeat(8, 1)  # the highest is in use
    zeros = torch.tensor([[0], [1], [2], [3], [4], [5], [6], [7]], dtype=torch.uint8)
    matrix = QuantizedMatrix(layout=layout, codes=codes, scales=torch.ones(8, 1), zeros=zeros)
    made = export.pack_matrix("a.weight", matrix, less=0)
    assert made["a.qzeros"].tolist() == [[0x76543210]]
    assert as_autogptq_reads(made, 4, more=0)["a.weight"][0].tolist() == [1, 3, 5, 7, 9, 11, 13, 15]


def test_what_was_left_is_listed(tiny_models, tmp_path):
    """By GPTQModel's rule (`-:`), and by transformers', which takes layers that end with one of the names."""
    kept = {"model.layers.0.self_attn.v_proj", "model.layers.1.mlp.up_proj"}
    chosen = {"symmetric": True, "exclude": ("*0.self_attn.v_proj*", "*1.mlp.up_proj*")}
    source = quantized(tiny_models("llama"), tmp_path / "quantized", **chosen)
    folder = exported(source, tmp_path / "out")
    written = json.loads((folder / "config.json").read_text())["quantization_config"]
    source = QuantizedCheckpoint(source)
    packed = {name.removesuffix(".weight") for name in set(source.layouts) - set(source.tables)}
    assert kept.isdisjoint(packed)
    layers = kept | packed
    assert all(pattern.startswith("-:") for pattern in written["dynamic"])
    assert {one for one in layers if any(re.match(rule[2:], one) for rule in written["dynamic"])} == kept
    (listed,) = written["modules_in_block_to_quantize"]
    assert {one for one in layers if any(one.endswith(name) for name in listed)} == packed
    names = set(read(folder))
    assert {f"{one}.qweight" for one in packed} | {f"{one}.weight" for one in kept} <= names


@pytest.mark.parametrize("config", [{"bits": 3}, {"exclude": ("*",)}, {"group_size": 24}])
def test_what_the_layout_cannot_hold_is_refused(config, tiny_models, tmp_path):
    source = quantized(tiny_models("llama"), tmp_path / "quantized", **config)
    with pytest.raises(CompressError):
        exported(source, tmp_path / "out")


def test_tables_are_those_around_the_blocks(tiny_models, tmp_path):
    source = quantized(tiny_models("llama"), tmp_path / "quantized")
    assert QuantizedCheckpoint(source).tables == ["lm_head.weight", "model.embed_tokens.weight"]
