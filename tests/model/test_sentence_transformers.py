"""Embeddings and scores of published folders, against sentence-transformers on what they were made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

import compress
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.model.resolve import resolve
from compress.passes.export import onnx
from compress.passes.heal import distill
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


@pytest.mark.parametrize("include_prompt", [True, False])
def test_prompts_are_those_of_sentence_transformers(include_prompt, published, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    tiny.build("bert", tmp_path / "bert")
    pooling = modules.Pooling(32, pooling_mode=["mean", "weightedmean"], include_prompt=include_prompt)
    parts = [modules.Transformer(str(tmp_path / "bert")), pooling]
    prompts = {"query": "find the dog : ", "document": ""}
    model = library.SentenceTransformer(modules=parts, prompts=prompts, default_prompt_name="query")
    model.save_pretrained(str(tmp_path / "model"))
    artifact = published(tmp_path / "model")
    for prompt in (
        {"prompt_name": "query"},
        {"prompt_name": "document"},
        {"prompt": "why not ? "},
        {"prompt": ""},
        {"prompt": "the dog ", "prompt_name": "query"},
        {},
    ):
        expected = model.encode(TEXTS, **prompt)
        np.testing.assert_allclose(artifact.encode(TEXTS, **prompt), expected, atol=1e-4, err_msg=str(prompt))
    assert not np.allclose(artifact.encode(TEXTS, prompt=""), artifact.encode(TEXTS))


def embedder(folder, *, include_prompt):
    """A folder as sentence-transformers writes it, by hand."""
    tiny.build("bert", folder)
    (folder / "1_Pooling").mkdir()
    settings = {"pooling_mode_mean_tokens": True, "include_prompt": include_prompt}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    listed = [
        {"idx": index, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path) in enumerate([("Transformer", ""), ("Pooling", "1_Pooling")])
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    use = {"prompts": {"query": "find the dog : ", "document": ""}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(use))


@pytest.mark.parametrize("include_prompt", [True, False])
def test_a_prompt_is_read_and_left_out_of_the_mean(include_prompt, published, tmp_path):
    embedder(tmp_path / "model", include_prompt=include_prompt)
    artifact = published(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    module = transformers.BertModel.from_pretrained(tmp_path / "model")
    prompt = "why not ? "
    encoded = tokenizer(prompt + TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        hidden = module(**encoded).last_hidden_state[0]
    first = 0 if include_prompt else len(tokenizer(prompt)["input_ids"]) - 1
    found = artifact.encode(TEXTS[0], prompt=prompt)
    np.testing.assert_allclose(found, hidden[first:].mean(dim=0), atol=1e-4)


def test_a_prompt_that_is_not_there_is_refused_with_those_that_are(published, tmp_path):
    embedder(tmp_path / "model", include_prompt=True)
    artifact = published(tmp_path / "model")
    with pytest.raises(CompressError, match="no prompt 'passage'") as caught:
        artifact.encode(TEXTS, prompt_name="passage")
    assert caught.value.code == "prompt-unknown"
    assert caught.value.hint == "known: query, document"


def test_healing_refuses_to_count_a_prompt_that_the_model_leaves_out(tmp_path):
    embedder(tmp_path / "model", include_prompt=False)
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=tmp_path / "model", task="feature-extraction")
    context = Context(
        folder=tmp_path / "healed",
        calibration=Fixed(rows=[{"text": text} for text in TEXTS]),
        profile=PROFILE,
        progress=Silent(),
        original=artifact,
    )
    with pytest.raises(CompressError, match="leaves its prompt out"):
        distill.apply(artifact, distill.Config(steps=1), context)


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
