"""Fewer tokens on every kind of checkpoint: same answers for kept tokens, and a folder that loads."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.core.recipe import recipe_from
from compress.model.load import load_module
from compress.model.safety import read_headers
from compress.passes.prune import vocabulary
from compress.pipeline.predict import kept_tokens, predicted_bytes
from compress.runtime.tokenizer import load_tokenizer
from tests import tiny
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

TEXT = "the quick brown fox is good"
MODELS = [
    "bert", "bert-classifier", "bert-mask", "distilbert", "roberta", "mpnet", "electra", "albert",
    "modernbert", "gpt2", "llama", "qwen3", "t5-encoder", "bart-encoder",
]  # fmt: skip


def pruned(folder, task, target, rows=({"text": TEXT},), **config):
    target.mkdir(exist_ok=True)
    context = Context(
        folder=target, calibration=Fixed([], rows=list(rows)), profile=PROFILE, progress=Silent()
    )
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task=task)
    return vocabulary.apply(source, vocabulary.Config(**config), context).folder


@pytest.mark.parametrize("name", ["bert-mask", "llama"])
def test_a_plan_predicts_what_stays(name, tiny_models, tmp_path):
    folder, task = tiny_models(name), tiny.ARCHITECTURES[name][2]
    rows = ({"text": TEXT},)
    recipe = recipe_from({"steps": [{"prune.vocabulary": {}}]}, name="test", where="test")
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task=task)
    kept = kept_tokens(recipe, source, rows)
    predicted = predicted_bytes(recipe, read_headers(folder), kept=kept)
    small = read_headers(pruned(folder, task, tmp_path / "small", rows))
    assert predicted == pytest.approx(4 * sum(one.elements for one in small.values()), rel=1e-6)
    assert predicted < predicted_bytes(recipe, read_headers(folder))


def outputs(folder, task, ids):
    module = load_module(folder, task)
    with torch.inference_mode():
        result = module(input_ids=torch.tensor([ids]))
    return next(result[name] for name in ("logits", "last_hidden_state") if name in result).numpy()[0]


@pytest.mark.parametrize("name", MODELS)
def test_text_of_kept_tokens_gets_the_same_answer(name, tiny_models, tmp_path):
    folder, task = tiny_models(name), tiny.ARCHITECTURES[name][2]
    small = pruned(folder, task, tmp_path / "small")
    config = json.loads((small / "config.json").read_text())
    assert config["vocab_size"] < 160
    old, new = load_tokenizer(folder), load_tokenizer(small)
    assert new.get_vocab_size() == config["vocab_size"]
    before = outputs(folder, task, old.encode(TEXT).ids)
    after = outputs(small, task, new.encode(TEXT).ids)
    kept = [old.token_to_id(new.id_to_token(number)) for number in range(new.get_vocab_size())]
    if before.shape[-1] == 160:
        before = before[:, kept]
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_transformers_loads_tokenizer_and_model(tiny_models, tmp_path):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    small = pruned(tiny_models("bert-mask"), "fill-mask", tmp_path / "small")
    tokenizer = AutoTokenizer.from_pretrained(small)
    model = AutoModelForMaskedLM.from_pretrained(small)
    assert len(tokenizer) == model.config.vocab_size == model.cls.predictions.bias.shape[0]
    assert tokenizer(TEXT)["input_ids"] == load_tokenizer(small).encode(TEXT).ids
    assert tokenizer.mask_token_id == load_tokenizer(small).token_to_id("[MASK]")


def test_dtypes_and_other_tensors_are_left_alone(tiny_copy, tmp_path):
    folder = tiny_copy("llama")
    module = load_module(folder, "text-generation").to(torch.bfloat16)
    module.save_pretrained(folder)
    small = pruned(folder, "text-generation", tmp_path / "small")
    old, new = (read_headers(one) for one in (folder, small))
    assert set(new) == set(old)
    changed = {name for name in old if old[name].shape != new[name].shape}
    assert changed == {"lm_head.weight", "model.embed_tokens.weight"}
    assert all(header.dtype == "BF16" for header in new.values())


def test_shards_stay_shards(tiny_copy, tmp_path):
    folder = tiny_copy("llama")
    module = load_module(folder, "text-generation")
    (folder / "model.safetensors").unlink()
    module.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    small = pruned(folder, "text-generation", tmp_path / "small")
    assert load_module(small, "text-generation").config.vocab_size < 160


def test_ids_in_configurations_follow_their_tokens(tiny_copy, tmp_path):
    folder = tiny_copy("llama")
    config = json.loads((folder / "config.json").read_text())
    letter = load_tokenizer(folder).token_to_id("z")
    config |= {"eos_token_id": [3, letter], "pad_token_id": 159, "vocab_size": 160}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": letter, "top_k": 159}))
    small = pruned(folder, "text-generation", tmp_path / "small")
    new = load_tokenizer(small)
    found = json.loads((small / "config.json").read_text())
    assert found["eos_token_id"] == [3, new.token_to_id("z")]
    assert new.id_to_token(found["pad_token_id"]) == load_tokenizer(folder).id_to_token(159)
    generation = json.loads((small / "generation_config.json").read_text())
    assert generation == {"eos_token_id": new.token_to_id("z"), "top_k": 159}


def test_a_row_without_a_token_that_a_configuration_names_stays(tiny_copy, tmp_path):
    """Llama's padding is often a row that the tokenizer does not have."""
    folder = tiny_copy("llama")
    document = json.loads((folder / "tokenizer.json").read_text())
    last = max(document["model"]["vocab"], key=document["model"]["vocab"].get)
    del document["model"]["vocab"][last]
    (folder / "tokenizer.json").write_text(json.dumps(document))
    config = json.loads((folder / "config.json").read_text()) | {"pad_token_id": 159}
    (folder / "config.json").write_text(json.dumps(config))
    small = pruned(folder, "text-generation", tmp_path / "small")
    found = json.loads((small / "config.json").read_text())
    assert found["pad_token_id"] == found["vocab_size"] - 1 == load_tokenizer(small).get_vocab_size()


def test_what_is_kept_follows_the_configuration(tiny_models, tmp_path):
    folder = tiny_models("bert")
    words = tmp_path / "words.txt"
    words.write_text("quick\nbrown fox\n")
    rows = [{"text": "the the quick"}]

    def tokens(name, **config):
        return set(
            load_tokenizer(pruned(folder, "feature-extraction", tmp_path / name, rows, **config)).get_vocab()
        )

    base = tokens("least", min_count=9)
    assert tokens("once") > tokens("twice", min_count=2) > base
    assert {"quick", "brown", "fox"} <= tokens("file", keep="file", file=words)
    with pytest.raises(CompressError, match="nothing-to-quantize"):
        tokens("script", keep="script", script="latin")
    with pytest.raises(CompressError, match="step-invalid"):
        tokens("missing", keep="file", file=tmp_path / "none.txt")


def test_what_is_counted_is_not_cut_short(tiny_models, tmp_path):
    """The tiny tokenizer stops at 64 tokens; the last word of a longer text is needed all the same."""
    rows = [{"text": "a " * 100 + "quick"}]
    small = pruned(tiny_models("bert"), "feature-extraction", tmp_path / "small", rows)
    assert "quick" in load_tokenizer(small).get_vocab()


def test_models_without_a_vocabulary_have_nothing_to_cut(tiny_models, tmp_path):
    with pytest.raises(CompressError, match="nothing-to-quantize"):
        pruned(tiny_models("vit"), "image-classification", tmp_path / "small")


def test_positions_that_count_from_the_padding_keep_their_places(tiny_copy, tmp_path):
    folder = tiny_copy("roberta")
    config = json.loads((folder / "config.json").read_text()) | {"pad_token_id": 7}
    (folder / "config.json").write_text(json.dumps(config))
    small = pruned(folder, "feature-extraction", tmp_path / "small")
    assert json.loads((small / "config.json").read_text())["pad_token_id"] == 7
    shutil.rmtree(small)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5-encoder"])
def test_text_like_the_data_finds_its_tokens(name, tiny_models, tmp_path):
    folder, task = tiny_models(name), tiny.ARCHITECTURES[name][2]
    old = load_tokenizer(folder)
    rows = [{"text": f"{TEXT} {TEXT}"}, {"text": TEXT}]
    sizes = []
    for lost in (0.05, 0.5):
        small = load_tokenizer(pruned(folder, task, tmp_path / str(lost), rows, keep="expected", lost=lost))
        sizes.append(small.get_vocab_size())
    assert old.get_vocab_size() > sizes[0] >= sizes[1]
    kept = load_tokenizer(tmp_path / "0.05")
    assert kept.encode(TEXT).tokens == old.encode(TEXT).tokens
