"""A contender whose tokenizer is another: each gets rows in its own tokens, and the text is compared."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.measure.evaluate import choose_metric, evaluate
from compress.measure.metric import Tools
from compress.runtime.text import load_text
from tests.unit.measure.fakes import Model, sentences, table, text_folder

TASK = "text-generation"


def folder_of(path, pieces, *, special=False):
    """A WordPiece tokenizer of `pieces`, over words between spaces."""
    path.mkdir()
    text_folder(path, special=special)
    document = json.loads((path / "tokenizer.json").read_text())
    every = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    document["model"] = {
        "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100, "vocab": {piece: at for at, piece in enumerate(every)},
    }  # fmt: skip
    (path / "tokenizer.json").write_text(json.dumps(document))
    return path


LETTERS = [*"w0123456789", *(f"##{one}" for one in "w0123456789")]
WORDS = [f"w{number}" for number in range(40)]


@pytest.fixture
def whole(tmp_path):
    return folder_of(tmp_path / "whole", [*LETTERS, *WORDS])


@pytest.fixture
def cut(tmp_path):
    """Without the words: each is spelled in letters."""
    return folder_of(tmp_path / "cut", LETTERS)


def uniform(size, *, surest=0.0):
    """Every token is as likely as any other."""

    def logits(feeds):
        return {"logits": np.zeros((*feeds["input_ids"].shape, size), np.float32) + surest}

    return Model(logits)


def judged(metric, reference, other, rows, folders, task=TASK):
    first, second = folders
    preprocess = load_text(first, task=task, inputs=reference.inputs)
    tools = Tools(folder=first, task=task, preprocess=preprocess)
    own = Tools(
        folder=second, task=task, preprocess=load_text(second, task=task, inputs=other.inputs), original=tools
    )
    return evaluate(
        choose_metric(task, labelled=False, name=metric),
        reference, {"other": other}, folder=first, task=task, preprocess=preprocess, rows=rows,
        own={"other": own}, batch_size=4,
    )["other"]  # fmt: skip


def test_perplexity_is_of_the_text_and_not_of_the_tokens(whole, cut):
    """A model that is as sure of each of its many small tokens as the original is of its few large ones
    needs more bits for the text."""
    rows = [{"text": text} for text in sentences(30)]
    sizes = [len(LETTERS) + 45, len(LETTERS) + 5]
    found = judged("perplexity", *(uniform(size) for size in sizes), rows, (whole, cut))
    words = [row["text"].split() for row in rows]
    letters = sum(len(word) for text in words for word in text[1:])
    tokens = sum(len(text) - 1 for text in words)
    assert found.baseline == pytest.approx(sizes[0])
    assert found.result == pytest.approx(np.exp(letters * np.log(sizes[1]) / tokens))
    assert found.drop == pytest.approx(found.result / found.baseline - 1)
    assert found.drop_upper_95 > found.drop
    assert found.items == 30


def test_the_same_tokens_in_another_order_change_nothing(whole, tmp_path):
    other = folder_of(tmp_path / "other", [*WORDS, *LETTERS])
    size = len(LETTERS) + 45
    order = [*range(5), *range(5 + len(LETTERS), size), *range(5, 5 + len(LETTERS))]
    weights = table(0, size, size)
    moved = weights[order][:, order]
    models = [Model(lambda feeds, w=w: {"logits": w[feeds["input_ids"]]}) for w in (weights, moved)]
    rows = [{"text": text} for text in sentences(20)]
    found = judged("perplexity", *models, rows, (whole, other))
    assert found.result == pytest.approx(found.baseline, rel=1e-6)
    assert found.drop == pytest.approx(0, abs=1e-6)


def test_the_same_text_is_hidden_from_both(whole, cut):
    """15% of the words are hidden from the original, and just these words' letters from the other."""
    rows = [{"text": text} for text in sentences(20)]
    sizes = [len(LETTERS) + 45, len(LETTERS) + 5]
    found = judged("perplexity", *(uniform(size) for size in sizes), rows, (whole, cut), task="fill-mask")
    assert found.baseline == pytest.approx(sizes[0])
    per_word = np.log(found.result) / np.log(sizes[1])
    assert 2 <= per_word <= 3  # letters of a word: w0 to w39


def test_token_by_token_metrics_are_refused(whole, cut):
    rows = [{"text": text} for text in sentences(4)]
    with pytest.raises(CompressError, match="metric-vocabulary"):
        judged("divergence", uniform(67), uniform(27), rows, (whole, cut))
    questions = [{"question": "w1 w2", "context": "w3 w4 w5"}]
    spans = Model(lambda feeds: {f"{end}_logits": feeds["input_ids"] * 1.0 for end in ("start", "end")})
    with pytest.raises(CompressError, match="metric-vocabulary"):
        judged("agreement", spans, spans, questions, (whole, cut), task="question-answering")


def test_taggers_are_compared_word_by_word(whole, cut):
    """Tags that depend on a word's first letter alone, which both tokenizers see."""
    rows = [{"tokens": text.split()} for text in sentences(10)]

    def tags(feeds):
        return {"logits": np.stack([feeds["input_ids"] * 0.0, np.ones(feeds["input_ids"].shape)], axis=-1)}

    found = judged("agreement", Model(tags), Model(tags), rows, (whole, cut), task="token-classification")
    assert found.result == 1
    assert found.records["decisions"].tolist() == [
        float(len(row["tokens"])) for row in sorted(rows, key=lambda row: len(str(row["tokens"])))
    ]


def test_embeddings_are_compared_by_text(whole, cut):
    """Each text's embedding is the mean over its own tokens, padded as its own batch is."""
    rows = [{"text": text} for text in sentences(12)]

    def hidden(feeds):
        ones = np.ones((*feeds["input_ids"].shape, 3), np.float32)
        return {"last_hidden_state": ones * feeds["attention_mask"][..., None]}

    found = judged("cosine", Model(hidden), Model(hidden), rows, (whole, cut), task="feature-extraction")
    assert found.result == pytest.approx(1)
