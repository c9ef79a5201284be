"""Checkpoints side by side: PyTorch as shipped, each with the tokenizer and classes that it has."""

from __future__ import annotations

import json

import pytest

from compress.core.artifact import Silent
from compress.core.settings import Settings
from compress.pipeline.compare import judge_all
from compress.pipeline.subjects import find_subject

pytestmark = pytest.mark.model


def judged(*folders, **settings):
    subjects = [find_subject(str(folder), task=None, offline=True, note=print) for folder in folders]
    found = judge_all(subjects, Settings(**settings), progress=Silent())
    return [found.standing(one.name) for one in subjects], found.notes


@pytest.fixture
def other_tokens(tiny_copy):
    """The same model with another tokenizer, as far as a file can tell."""

    def model(name):
        folder = tiny_copy(name)
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1))
        return folder

    return model


def test_classifiers_of_different_makes_on_labelled_rows(tiny_models, tmp_path):
    data = tmp_path / "rows.csv"
    rows = [f"the quick brown fox {word},{number % 2}" for number, word in enumerate("abcdef")]
    data.write_text("\n".join(["text,label", *rows]) + "\n")
    names = [tiny_models("bert-classifier"), tiny_models("distilbert")]
    standings, _ = judged(*names, data=str(data))
    assert [(one.metric, one.items) for one in standings] == [("accuracy", 6)] * 2


def test_decoders_with_other_tokens_are_compared_by_bytes(tiny_models, other_tokens):
    (first, second), notes = judged(tiny_models("llama"), other_tokens("llama"), limit=4)
    assert first.metric == "bits_per_byte"
    assert second.drop == pytest.approx(0)
    assert notes == []


def test_masked_models_with_other_tokens_have_no_common_measure(tiny_models, other_tokens):
    standings, notes = judged(tiny_models("bert-mask"), other_tokens("bert-mask"), limit=4)
    assert standings == [None, None]
    assert "accuracy is not compared" in notes[0]
