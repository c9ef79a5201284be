"""Checkpoints whose layers differ in width (`widths.json`) through the steps that follow pruning."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.graph.cached import PAST
from compress.graph.ort import OrtRunner
from compress.model.dequantize import load_dequantized
from compress.model.load import load_module
from compress.model.structure.widths import WIDTHS, read_widths
from compress.passes.export import genai
from compress.passes.heal import distill
from compress.passes.prune import ffn, heads
from compress.passes.quantize import gptq
from tests.model.test_heal import texts
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

TASK = "text-generation"
WINDOWS = np.random.default_rng(0).integers(5, 150, (6, 48))
QUIET = {"llama-wide": "model.layers.0.mlp.down_proj.weight", "gpt2": "transformer.h.0.mlp.c_proj.weight"}
"""The matrix that is made to say little, so that its layer loses most of its units."""


def applied(step, artifact, folder, *, original=None, **config):
    folder.mkdir()
    feeds = [{"input_ids": WINDOWS[:2], "attention_mask": np.ones_like(WINDOWS[:2])}]
    calibration = Fixed(feeds, windows=WINDOWS, rows=texts(40))
    context = Context(
        folder=folder, calibration=calibration, profile=PROFILE, progress=Silent(), original=original
    )
    made = step.apply(artifact, step.Config(**config), context)
    for path in artifact.folder.iterdir():  # as the pipeline does
        if not (folder / path.name).exists() and path.suffix != ".safetensors":
            shutil.copy(path, folder)
    return made


@pytest.fixture(params=QUIET)
def uneven(request, tiny_copy, tmp_path):
    """The original and a checkpoint whose layers have other widths than each other."""
    folder = tiny_copy(request.param)
    tensors = load_file(folder / "model.safetensors")
    tensors[QUIET[request.param]] *= 0.01
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    original = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task=TASK)
    pruned = applied(ffn, original, tmp_path / "pruned", ratio=0.25, multiple=16, uniform=False)
    assert (pruned.folder / WIDTHS).exists()
    return original, pruned


def logits(module):
    with torch.inference_mode():
        return torch.log_softmax(module(input_ids=torch.from_numpy(WINDOWS[:2])).logits, -1)


def test_healing_keeps_the_widths(uneven, tmp_path):
    original, pruned = uneven
    healed = applied(distill, pruned, tmp_path / "healed", original=original, steps=4, batch=4)
    assert read_widths(healed.folder) == read_widths(pruned.folder)
    load_module(healed.folder, TASK)


def test_gptq_and_the_graph_with_a_cache_keep_the_widths(uneven, tmp_path):
    """The export compares the graph with the module of the same weights itself."""
    _, pruned = uneven
    config = {"bits": 8, "embedding_bits": 8, "group_size": 16, "minimum_elements": 0}
    made = applied(gptq, pruned, tmp_path / "codes", **config)
    expected, found = logits(load_module(pruned.folder, TASK)), logits(load_dequantized(made.folder, TASK))
    assert float((expected.exp() * (expected - found)).sum(-1).mean()) < 0.01
    if load_module(pruned.folder, TASK).config.model_type == "llama":  # tracing others takes long
        assert applied(genai, made, tmp_path / "graph").kind is ArtifactKind.GENAI


@pytest.mark.parametrize("uneven", ["llama-wide"], indirect=True)
def test_gate_and_up_are_one_product_in_each_layer(uneven, tmp_path):
    """In those, too, whose width is not the configuration's."""
    made = applied(gptq, uneven[1], tmp_path / "four", group_size=16, minimum_elements=0)
    graph = onnx.load(applied(genai, made, tmp_path / "graph").graph, load_external_data=False).graph
    products = [node for node in graph.node if node.op_type == "MatMulNBits" and "/mlp/" in node.name]
    rows = [next(a.i for a in node.attribute if a.name == "N") for node in products]
    layers = load_dequantized(made.folder, TASK).model.layers
    widths = [layer.mlp.gate_proj.out_features for layer in layers]
    assert len(set(widths)) == 2
    assert rows == [number for width in widths for number in (2 * width, 64)]


def test_the_graph_with_a_cache_has_other_heads_in_each_layer(tiny_copy, tmp_path):
    """One layer keeps two heads of four, the other all; the export compares the logits itself."""
    folder = tiny_copy("llama-heads")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.self_attn.o_proj.weight"] *= 0.01
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    original = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task=TASK)
    pruned = applied(heads, original, tmp_path / "pruned", ratio=0.25, uniform=False)
    attention = [layer.self_attn for layer in load_module(pruned.folder, TASK).model.layers]
    assert [part.k_proj.out_features // part.head_dim for part in attention] == [2, 4]
    made = applied(genai, pruned, tmp_path / "graph")
    cache = [spec.shape for spec in OrtRunner(made.graph).inputs if spec.name.startswith(PAST)]
    assert {shape[1] for shape in cache} == {4}
