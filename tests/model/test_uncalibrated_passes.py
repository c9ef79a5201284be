"""Passes that need no calibration (or little), on graphs as they are exported: tied layers, Gemm, sound."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.passes.export import onnx as export
from compress.passes.quantize import dynamic, embeddings, half, weights
from tests import tiny
from tests.unit.graphs import PROFILE, apply, cosine, run

pytestmark = pytest.mark.model

PASSES = [
    (dynamic, {"minimum_elements": 0}, 0.998),
    (weights, {"minimum_elements": 0, "bits": 8}, 0.999),
    (weights, {"minimum_elements": 0, "bits": 4, "block_size": 16}, 0.95),
    (embeddings, {"minimum_bytes": 0, "bits": 8}, 0.999),
    (embeddings, {"minimum_bytes": 0, "bits": 4, "block_size": 16}, 0.95),
    (half, {}, 0.99999),
    (dynamic, {"minimum_elements": 0, "stored": 4, "group_size": 16}, 0.95),
]
WITHOUT_TABLES = {"whisper-encoder"}


@pytest.fixture(scope="module", params=["bert-mask", "gpt2", "whisper-encoder"])
def exported(request, tiny_models, tmp_path_factory):
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    checkpoint = Artifact(
        kind=ArtifactKind.CHECKPOINT, folder=tiny_models(name), task=tiny.ARCHITECTURES[name][2]
    )
    context = Context(folder=folder, calibration=Fixed([]), profile=PROFILE, progress=Silent())
    return name, onnx.load(export.apply(checkpoint, export.Config(), context).graph)


def feeds_for(graph: onnx.ModelProto) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    feeds = {}
    for value in graph.graph.input:
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            feeds[value.name] = random.standard_normal((2, 80, 3000)).astype(np.float32)
        else:
            ids = random.integers(5, 90, (2, 12)) if value.name == "input_ids" else np.ones((2, 12))
            feeds[value.name] = ids.astype(np.int64) * (value.name != "token_type_ids")
    return feeds


def test_every_pass_stays_close(exported, tmp_path):
    name, graph = exported
    feeds = feeds_for(graph)
    expected = run(graph, feeds)
    for count, (step, config, limit) in enumerate(PASSES):
        if step is embeddings and name in WITHOUT_TABLES:
            continue
        found = apply(step, graph, tmp_path / str(count), feeds=[feeds], **config)
        for ours, theirs in zip(run(found, feeds), expected, strict=True):
            assert cosine(ours, theirs) > limit, (step.__name__, config)


def test_tied_tables_are_not_stored_twice(exported, tmp_path):
    name, graph = exported
    if name in WITHOUT_TABLES:
        pytest.skip("no table")
    for count, (step, config, _) in enumerate(PASSES[:5]):
        found = apply(step, graph, tmp_path / str(count), **config)
        tables = [
            tensor.name
            for tensor in found.graph.initializer
            if 160 in tensor.dims and np.prod(tensor.dims) >= 160 * 16  # 32 numbers of 4 bits in a row
        ]
        assert len(tables) == 1, (step.__name__, config, tables)
