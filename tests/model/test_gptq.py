"""Quantization by blocks on tiny models: structure, names, fidelity, resumption."""

import json

import numpy as np
import pytest
import torch

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.model.dequantize import load_dequantized
from compress.model.flow import BlockFlow
from compress.model.load import load_module
from compress.model.quantized import QuantizedCheckpoint
from compress.passes.gptq_settings import FACTS
from compress.passes.quantize import gptq
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

WINDOWS = np.random.default_rng(0).integers(5, 150, (6, 48))


def quantized(source, folder, *, windows=WINDOWS, work=None, **config):
    folder.mkdir()
    context = Context(
        folder=folder, calibration=Fixed(windows=windows), profile=PROFILE, progress=Silent(), work=work
    )
    checkpoint = Artifact(kind=ArtifactKind.CHECKPOINT, folder=source, task="text-generation")
    chosen = {"group_size": 16, "minimum_elements": 0, **config}
    made = gptq.apply(checkpoint, gptq.Config(**chosen), context)
    assert made.kind is ArtifactKind.QUANTIZED
    return folder


def logits(module):
    with torch.inference_mode():
        return module(input_ids=torch.from_numpy(WINDOWS[:2])).logits


def divergence(source, folder):
    """KL from the original to the dequantized model, nats a token."""
    expected, found = (
        torch.log_softmax(logits(module), -1)
        for module in (load_module(source, "text-generation"), load_dequantized(folder, "text-generation"))
    )
    return float((expected.exp() * (expected - found)).sum(-1).mean())


KEPT = ["norm", "bias", "ln_", "wpe", "mlp.gate", "positions", "conv.conv", "conv1d", "A_log", "mamba.D"]
"""Parts of the names of what is no product's matrix, or a router."""
NAMES = [
    "llama",
    "gpt2",
    "qwen3",
    "qwen3-moe",
    "phi3",
    "gemma2",
    "gpt-neox",
    "opt",
    "lfm2",
    "deepseek-v3",
    "granite-hybrid",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture(name, tiny_models, tmp_path):
    source = tiny_models(name)
    four = quantized(source, tmp_path / "four")
    eight = quantized(source, tmp_path / "eight", bits=8, embedding_bits=8)
    assert divergence(source, eight) < 0.01
    assert divergence(source, eight) < divergence(source, four) < 0.5
    assert (four / "tokenizer.json").exists()
    kept = set(QuantizedCheckpoint(four).others)
    unlike = [name for name in kept if not any(part in name for part in KEPT)]
    assert not unlike


@pytest.mark.parametrize(("name", "found"), [("gemma3n", "hidden states"), ("gemma4-e", "the text")])
def test_blocks_that_cannot_be_streamed_are_refused(name, found, tiny_models, tmp_path):
    with pytest.raises(CompressError, match=f"blocks-unsupported.*{found}") as caught:
        quantized(tiny_models(name), tmp_path / "out", windows=WINDOWS[:1])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "table", "head"), [("llama", 16, 32), ("llama-tied", 32, None), ("qwen3-moe", -1, 32)]
)
def test_tables_have_groups_of_their_own(name, table, head, tiny_models, tmp_path):
    folder = quantized(tiny_models(name), tmp_path / "out", embedding_group_size=table, head_group_size=head)
    layouts = QuantizedCheckpoint(folder).layouts
    found = {part: layout.group_size for name, layout in layouts.items() for part in (name.split(".")[-2],)}
    assert found["embed_tokens"] == (table if table > 0 else layouts["model.embed_tokens.weight"].shape[1])
    assert found.get("lm_head") == (None if name == "llama-tied" else head)
    assert found["q_proj"] == 16
    plain = quantized(tiny_models(name), tmp_path / "plain")
    assert divergence(tiny_models(name), folder) < 1.5 * divergence(tiny_models(name), plain) + 0.01


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tiny_models, tmp_path, monkeypatch):
    source = tiny_models("llama")
    whole = quantized(source, tmp_path / "whole")
    finish = BlockFlow.finish

    def killed(self, index, write):
        if index == 1:
            raise KeyboardInterrupt
        finish(self, index, write)

    work = tmp_path / "work"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(BlockFlow, "finish", killed)
        quantized(source, tmp_path / "killed", work=work)
    assert (work / "block-00000.safetensors").exists()
    started = []
    monkeypatch.setattr(
        BlockFlow, "finish", lambda self, index, write: (started.append(index), finish(self, index, write))
    )
    again = quantized(source, tmp_path / "again", work=work)
    assert started == [1]
    for path in whole.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_a_matrix_that_cannot_be_calibrated_is_rounded_and_named(tiny_models, tmp_path):
    folder = quantized(tiny_models("qwen3-moe"), tmp_path / "out", minimum_rows=10**6)
    facts = json.loads((folder / FACTS).read_text())
    assert len(facts) == 2 * (4 + 2 * 4) + 2
    for name, values in facts.items():
        assert ("calibration tokens reached it" in values["why"]) == ("embed" not in name)


def test_calibration_lowers_the_divergence(tiny_models, tmp_path):
    source = tiny_models("llama")
    chosen = {"bits": 3, "embedding_bits": None, "head_bits": None}
    calibrated = quantized(source, tmp_path / "calibrated", **chosen)
    rounded = quantized(source, tmp_path / "rounded", minimum_rows=10**6, **chosen)
    assert divergence(source, calibrated) < 0.9 * divergence(source, rounded)
