"""Metrics of embeddings: mean-pooled token vectors of a model that looks them up."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from compress.measure.evaluate import choose_metric
from compress.measure.metrics.similarity_rank import related_and_not
from tests.unit.measure.fakes import VOCABULARY, Model, judged, noisy, sentences, table, text_folder

VECTORS = table(0, VOCABULARY, 24)
TASK = "feature-extraction"


def encoder(vectors):
    return Model(lambda feeds: {"last_hidden_state": vectors[feeds["input_ids"]]})


def embedded(texts, vectors):
    """The same without the project: [CLS], words, [SEP], averaged, length one."""
    ids = [[2, *(5 + int(word[1:]) for word in text.split()), 3] for text in texts]
    means = np.array([vectors[one].astype(np.float64).mean(axis=0) for one in ids])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def score(folder, rows, vectors, *, name=None, labelled=False):
    metric = choose_metric(TASK, labelled=labelled, name=name)
    others = {"one": encoder(vectors)}
    return judged(metric, encoder(VECTORS), others, rows, folder=text_folder(folder), task=TASK)["one"]


def test_spearman_of_pairs(tmp_path):
    first, second = sentences(60, seed=1), sentences(60, seed=2)
    labels = np.random.default_rng(3).normal(size=60)
    rows = [
        {"text": one, "text_pair": two, "label": float(label)}
        for one, two, label in zip(first, second, labels, strict=True)
    ]
    other = noisy(VECTORS, 4, 0.5)
    found = score(tmp_path, rows, other, labelled=True)
    for vectors, value in ((VECTORS, found.baseline), (other, found.result)):
        cosines = (embedded(first, vectors) * embedded(second, vectors)).sum(axis=1)
        assert value == pytest.approx(spearmanr(cosines, labels).statistic, abs=1e-6)
    assert found.drop == pytest.approx(found.baseline - found.result)


def test_cosine(tmp_path):
    texts, other = sentences(50), noisy(VECTORS, 1, 0.2)
    found = score(tmp_path, [{"text": text} for text in texts], other, name="cosine")
    cosines = (embedded(texts, VECTORS) * embedded(texts, other)).sum(axis=1)
    assert found.result == pytest.approx(cosines.mean(), abs=1e-6)
    assert found.drop < found.drop_upper_95


def test_similarity_rank_is_the_correlation_over_its_pairs(tmp_path):
    texts, other = sentences(80, longest=12), noisy(VECTORS, 1, 0.2)
    found = score(tmp_path, [{"text": text} for text in texts], other)
    ordered = sorted(texts, key=len)
    before, after = embedded(ordered, VECTORS), embedded(ordered, other)
    left, right = related_and_not(before)
    similarities = [(one[left] * one[right]).sum(axis=1) for one in (before, after)]
    assert found.result == pytest.approx(spearmanr(*similarities).statistic, abs=1e-6)


def test_pairs_hold_every_nearest_neighbour_once():
    vectors = embedded(sentences(70), VECTORS)
    left, right = related_and_not(vectors)
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    similarity = vectors @ vectors.T - 2 * np.eye(70)
    assert {tuple(sorted(pair)) for pair in enumerate(similarity.argmax(axis=1).tolist())} <= found
    assert len(found) == len(left)
    assert np.all(left < right)


@pytest.mark.parametrize(
    ("vectors", "low", "high"),
    [
        (VECTORS, 0.0, 1e-6),
        (3 * VECTORS, 0.0, 1e-6),
        (noisy(VECTORS, 1, 0.03), 0.0, 0.01),
        (noisy(VECTORS, 1, 1.0), 0.1, 1.0),
        (table(9, VOCABULARY, 24), 0.5, 1.2),
        (np.ones_like(VECTORS), 1.0, 1.0),
    ],
    ids=["itself", "scaled", "rounded", "noise", "another model", "constant"],
)
def test_similarity_rank_tells_good_from_broken(tmp_path, vectors, low, high):
    rows = [{"text": text} for text in sentences(150)]
    found = score(tmp_path, rows, vectors)
    assert low - 1e-9 <= found.drop <= high
    assert found.drop <= found.drop_upper_95 <= max(2 * high, 0.02)


def test_two_items_are_enough_to_have_a_value(tmp_path):
    found = score(tmp_path, [{"text": "w1"}, {"text": "w2 w3"}], VECTORS)
    assert np.isfinite(found.drop_upper_95)
