"""Perplexity and divergence of language models, against loops over tokens."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import log_softmax

from compress.measure import prepare
from compress.measure.evaluate import choose_metric
from compress.measure.metric import Tools
from compress.runtime.text import load_text
from tests.unit.measure.fakes import SPECIAL, VOCABULARY, Model, judged, noisy, sentences, table, text_folder

TABLE = table(0, VOCABULARY, VOCABULARY)
"""What follows each token: a model that sees one token back."""


def bigram(weights):
    return Model(lambda feeds: {"logits": weights[feeds["input_ids"]]})


def score(folder, texts, weights, *, task, name=None, batch_size=4):
    metric = choose_metric(task, labelled=False, name=name)
    rows = [{"text": text} for text in texts]
    models = {"one": bigram(weights)}
    return judged(metric, bigram(TABLE), models, rows, folder=folder, task=task, batch_size=batch_size)["one"]


def ids_of(text):
    return [len(SPECIAL) + int(word[1:]) for word in text.split()]


def nats(ids, weights):
    logs = log_softmax(weights.astype(np.float64), axis=1)
    return [-logs[before, token] for before, token in pairwise(ids)]


@pytest.mark.parametrize("length", [64, 8], ids=["in one window", "in many"])
@pytest.mark.parametrize("special", [False, True], ids=["bare", "with a beginning"])
def test_causal_perplexity(tmp_path, length, special):
    folder = text_folder(tmp_path, special=special, length=length)
    texts, other = sentences(30, longest=40), noisy(TABLE, 1, 0.3)
    found = score(folder, texts, other, task="text-generation")
    begins = [2] if special else []
    losses = [[cost for text in texts for cost in nats([*begins, *ids_of(text)], w)] for w in (TABLE, other)]
    before, after = (np.exp(np.mean(one)) for one in losses)
    assert (found.baseline, found.result) == pytest.approx((before, after))
    assert found.drop == pytest.approx(after / before - 1)
    assert found.drop < found.drop_upper_95
    assert found.records["tokens"].sum() == len(losses[0])


def test_windows_overlap_by_half(tmp_path):
    folder = text_folder(tmp_path, special=False, length=16)
    text = load_text(folder, task="text-generation", inputs=bigram(TABLE).inputs)
    tools = Tools(folder=folder, task="text-generation", preprocess=text)
    words = sentences(1, longest=100, seed=5)[0] + " " + sentences(1, longest=100, seed=6)[0]
    ids = ids_of(words)
    batch = prepare.causal([{"text": words}], tools)
    starts = [8 * number for number in range(len(batch.scored))]
    judged_at = [
        start + at for start, row in zip(starts, batch.scored, strict=True) for at in np.flatnonzero(row)
    ]
    assert judged_at == list(range(len(ids) - 1))
    assert batch.targets[batch.scored].tolist() == ids[1:]
    assert min(int(np.flatnonzero(row)[0]) for row in batch.scored[1:]) >= 7


def test_a_long_text_does_not_run_at_once(tmp_path):
    folder = text_folder(tmp_path, special=False, length=16)
    model = bigram(TABLE)
    metric = choose_metric("text-generation", labelled=False)
    rows = [{"text": " ".join(sentences(40, seed=7))}]
    found = judged(metric, model, {"one": bigram(TABLE)}, rows, folder=folder, task="text-generation")["one"]
    assert max(model.sizes) <= 2
    assert found.items == sum(model.sizes) > 40


def test_masked_perplexity(tmp_path):
    folder = text_folder(tmp_path)
    texts, other = sentences(40, longest=30), noisy(TABLE, 1, 0.3)
    found = score(folder, texts, other, task="fill-mask")
    # The model sees the mask alone, so a hidden token costs what it costs after [MASK].
    logs = [log_softmax(one.astype(np.float64), axis=1)[4] for one in (TABLE, other)]
    hidden = hidden_tokens(folder, texts)
    before, after = (np.exp(-np.mean(one[hidden])) for one in logs)
    assert (found.baseline, found.result) == pytest.approx((before, after))


def masked(folder, texts):
    text = load_text(folder, task="fill-mask", inputs=bigram(TABLE).inputs)
    tools = Tools(folder=folder, task="fill-mask", preprocess=text)
    return prepare.masked([{"text": one} for one in texts], tools)


def hidden_tokens(folder, texts):
    batch = masked(folder, texts)
    return batch.targets[batch.scored]


def test_masks_are_the_same_in_every_batch(tmp_path):
    texts = sentences(10)
    together = hidden_tokens(text_folder(tmp_path), texts)
    alone = np.concatenate([hidden_tokens(tmp_path, [text]) for text in texts])
    assert together.tolist() == alone.tolist()


def test_masks_hide_a_share_of_the_words_and_nothing_else(tmp_path):
    texts = sentences(200, longest=60)
    batch = masked(text_folder(tmp_path), texts)
    ids = np.asarray(batch.feeds["input_ids"])
    assert np.all((ids == 4) == batch.scored)
    assert np.all(batch.scored.sum(axis=1) >= 1)
    assert np.all(batch.targets[batch.scored] >= len(SPECIAL))
    share = batch.scored.sum() / sum(len(text.split()) for text in texts)
    assert share == pytest.approx(0.15, abs=0.02)


def test_batches_of_causal_models_padded_on_the_left(tmp_path):
    folder = text_folder(tmp_path, special=False)
    right = score(folder, sentences(20), noisy(TABLE, 1, 0.3), task="text-generation")
    settings = folder / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace("{", '{"padding_side": "left", ', 1))
    left = score(folder, sentences(20), noisy(TABLE, 1, 0.3), task="text-generation")
    assert left.result == pytest.approx(right.result)


@pytest.mark.parametrize("task", ["fill-mask", "text-generation"])
def test_divergence(tmp_path, task):
    folder = text_folder(tmp_path, special=task == "fill-mask")
    texts, other = sentences(20), noisy(TABLE, 1, 0.2)
    found = score(folder, texts, other, task=task, name="fidelity")
    first, second = (log_softmax(one.astype(np.float64), axis=1) for one in (TABLE, other))
    each = (np.exp(first) * (first - second)).sum(axis=1)
    if task == "fill-mask":
        expected = each[4]
    else:
        expected = np.mean([each[token] for text in texts for token in ids_of(text)[:-1]])
    assert found.result == pytest.approx(np.exp(-expected))
    assert found.drop == pytest.approx(1 - found.result)


def test_a_model_that_excludes_what_is_said_has_a_perplexity(tmp_path):
    never = np.where(np.eye(VOCABULARY)[np.zeros(VOCABULARY, int)] > 0, 0, -1e30).astype(np.float32)
    found = score(text_folder(tmp_path, special=False), sentences(10), never, task="text-generation")
    assert np.isfinite(found.result)
    assert found.drop > 1e10
