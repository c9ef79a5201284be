"""Checkpoints side by side: PyTorch as shipped, each with the tokenizer and classes that it has."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.model


def compared(cli, *words):
    called = cli("compare", *words, "--seconds", "0.1", "--json", "-q")
    assert called.code == 0, called.err
    return json.loads(called.out)


def test_classifiers_of_different_makes_on_labelled_rows(cli, tiny_models, tmp_path):
    data = tmp_path / "rows.csv"
    rows = [f"the quick brown fox {word},{number % 2}" for number, word in enumerate("abcdef")]
    data.write_text("\n".join(["text,label", *rows]) + "\n")
    names = [tiny_models("bert-classifier"), tiny_models("distilbert")]
    found = compared(cli, *names, "--data", data)
    for model in found["models"]:
        assert model["runtime"] == "torch"
        assert model["standing"]["metric"] == "accuracy"
        assert model["standing"]["items"] == 6


def test_decoders_with_other_tokens_are_compared_by_bytes(cli, tiny_models, tiny_copy):
    """The same tokenizer with one more word has other tokens, as far as a file can tell."""
    other = tiny_copy("llama")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    (other / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
    found = compared(cli, tiny_models("llama"), other, "--limit", "4")
    assert found["models"][0]["standing"]["metric"] == "bits_per_byte"
    assert found["models"][1]["standing"]["drop"] == pytest.approx(0)


def test_masked_models_with_other_tokens_have_no_common_measure(cli, tiny_models, tiny_copy):
    other = tiny_copy("bert-mask")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    (other / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
    found = compared(cli, tiny_models("bert-mask"), other, "--limit", "4")
    assert all(model["standing"] is None for model in found["models"])
    assert "accuracy is not compared" in found["notes"][0]
