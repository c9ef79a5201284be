"""Embeddings and scores of published folders, against sentence-transformers on what they were made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

import compress
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.model.resolve import resolve
from compress.passes.export import onnx
from compress.pipeline.cache import cache_folder
from tests import tiny
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

TEXTS = ["the quick brown fox", "models are far too big", "why not ? prove that they are good"]


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A function from a folder to the artifact of its plain export."""
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))

    def publish(folder):
        model = resolve(str(folder), task=None, offline=True, cache=cache_folder(), note=print)
        target = tmp_path / "artifact"
        target.mkdir()
        context = Context(folder=target, calibration=Fixed(), profile=PROFILE, progress=Silent())
        source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=model.folder, task=model.task)
        onnx.apply(source, onnx.Config(), context)
        (target / "compress.json").write_text(json.dumps({"task": model.task}))
        return compress.load(target)

    return publish


@pytest.mark.parametrize(
    ("pooling", "dense", "truncate_dim"),
    [
        ({"pooling_mode": ["mean", "cls", "weightedmean", "max"], "include_prompt": False}, False, None),
        ({"pooling_mode": "lasttoken"}, True, 5),
    ],
)
def test_embeddings_are_those_of_sentence_transformers(pooling, dense, truncate_dim, published, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    tiny.build("bert", tmp_path / "bert")
    parts = [modules.Transformer(str(tmp_path / "bert")), modules.Pooling(32, **pooling)]
    if dense:
        torch.manual_seed(0)
        parts += [modules.Dense(32, 8, use_residual=True), modules.Normalize()]
    prompts = {"query": "find the dog : ", "document": ""}
    model = library.SentenceTransformer(
        modules=parts, prompts=prompts, default_prompt_name="query", truncate_dim=truncate_dim
    )
    model.save_pretrained(str(tmp_path / "model"))
    expected = model.encode(TEXTS)
    found = published(tmp_path / "model").encode(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("activation", ["Sigmoid", "Identity"])
def test_scores_are_those_of_the_cross_encoder(activation, published, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    config = transformers.BertConfig(**tiny.TEXT_SIZES, num_labels=1)
    classifier = transformers.BertForSequenceClassification(config)
    tiny.spread(classifier, 0)
    classifier.save_pretrained(tmp_path / "bert")
    tiny.tokenizer(tmp_path / "bert")
    model = library.CrossEncoder(str(tmp_path / "bert"), activation_fn=getattr(torch.nn, activation)())
    model.save_pretrained(str(tmp_path / "model"))
    pairs = list(zip(TEXTS, reversed(TEXTS), strict=True))
    artifact = published(tmp_path / "model")
    assert artifact.task == "text-classification"
    logits = model.predict(pairs, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(np.ravel(artifact.predict(pairs)), logits, atol=1e-4)
    scores = [answer["score"] for answer in artifact.classify(pairs)]
    np.testing.assert_allclose(scores, model.predict(pairs), atol=1e-4)
