"""F1 of entities, and the fidelity of taggers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.special import softmax
from sklearn.metrics import f1_score

from compress.measure.evaluate import choose_metric
from compress.measure.metrics.entity_f1 import entities
from tests.unit.measure.fakes import SPECIAL, VOCABULARY, Model, judged, noisy, sentences, table, text_folder

NAMES = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
TASK = "token-classification"


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", set()),
        ("B-PER I-PER O B-PER", {("PER", 0, 2), ("PER", 3, 4)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("B-PER I-LOC", {("PER", 0, 1), ("LOC", 1, 2)}),
        ("O I-PER I-PER", {("PER", 1, 3)}),
        ("S-PER I-PER B-LOC E-LOC I-LOC", {("PER", 0, 1), ("PER", 1, 2), ("LOC", 2, 4), ("LOC", 4, 5)}),
        ("U-PER B-LOC L-LOC", {("PER", 0, 1), ("LOC", 1, 3)}),
        ("NOUN NOUN VERB", {("NOUN", 0, 1), ("NOUN", 1, 2), ("VERB", 2, 3)}),
        ("B-x-y I-x-y", {("x-y", 0, 2)}),
    ],
)
def test_entities(tags, found):
    assert entities(tags.split()) == found


@given(some.lists(some.tuples(some.sampled_from(["PER", "LOC", "O"]), some.integers(1, 4)), max_size=8))
def test_entities_that_were_written_as_tags_are_read_again(runs):
    tags, written = [], set()
    for kind, length in runs:
        start = len(tags)
        tags += ["O"] * length if kind == "O" else [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
        written |= set() if kind == "O" else {(kind, start, start + length)}
    assert entities(tags) == written


def score(folder, rows, weights, other, *, names=NAMES, name=None, labelled=True, length=64):
    config = {"id2label": {str(number): label for number, label in names.items()}}
    folder = text_folder(folder, config=config, length=length)
    metric = choose_metric(TASK, labelled=labelled, name=name)
    models = [Model(lambda feeds, w=w: {"logits": w[feeds["input_ids"]]}) for w in (weights, other)]
    return judged(metric, models[0], {"one": models[1]}, rows, folder=folder, task=TASK)["one"]


def tagged(weights, *, noise=0.5):
    """Rows whose right tags are those of a noisy `weights`, and the words' ids."""
    rows, ids = [], []
    for number, text in enumerate(sentences(60)):
        words = [len(SPECIAL) + int(word[1:]) for word in text.split()]
        tags = (weights[words] + table(number, len(words), weights.shape[1], scale=noise)).argmax(axis=1)
        rows.append({"tokens": text.split(), "tags": tags.tolist()})
        ids.append(words)
    return rows, ids


def test_f1_over_all_entities(tmp_path):
    weights = table(0, VOCABULARY, 5)
    other = noisy(weights, 1, 0.4)
    rows, ids = tagged(weights)
    found = score(tmp_path, rows, weights, other)
    for model, value in ((weights, found.baseline), (other, found.result)):
        said = [entities([NAMES[tag] for tag in model[words].argmax(axis=1)]) for words in ids]
        there = [entities([NAMES[tag] for tag in row["tags"]]) for row in rows]
        hits = sum(len(one & two) for one, two in zip(said, there, strict=True))
        assert value == pytest.approx(2 * hits / sum(len(one) for one in [*said, *there]))
    assert found.drop < found.drop_upper_95 < found.drop + 0.2


def test_parts_of_speech_are_judged_word_by_word(tmp_path):
    names = {0: "NOUN", 1: "VERB", 2: "ADJ"}
    weights = table(0, VOCABULARY, 3)
    rows, ids = tagged(weights)
    found = score(tmp_path, rows, weights, noisy(weights, 1, 0.4), names=names)
    there = np.concatenate([row["tags"] for row in rows])
    said = np.concatenate([weights[words].argmax(axis=1) for words in ids])
    assert found.baseline == pytest.approx(f1_score(there, said, average="micro"))


def test_words_that_do_not_count_and_texts_in_windows(tmp_path):
    weights = np.zeros((VOCABULARY, 5), np.float32)
    weights[:, 1] = 1  # every word is a person
    rows = [{"tokens": ["w1", "w2", "w3", "w4"], "tags": [1, -100, 1, 1]}]
    found = score(tmp_path, rows, weights, weights, length=5)  # windows of three words, special tokens
    assert found.baseline == 1


@pytest.mark.parametrize("length", [5, 6, 8, 11, 64])
def test_every_word_of_a_long_text_is_judged_once(tmp_path, length):
    weights = table(0, VOCABULARY, 5)
    rows, ids = tagged(weights)
    found = score(tmp_path, rows, weights, noisy(weights, 1, 0.4), length=length)
    (tmp_path / "whole").mkdir()
    whole = score(tmp_path / "whole", rows, weights, noisy(weights, 1, 0.4))
    assert (found.baseline, found.result) == (whole.baseline, whole.result)
    (tmp_path / "fidelity").mkdir()
    agreed = score(tmp_path / "fidelity", rows, weights, weights, name="agreement", length=length)
    assert agreed.records["decisions"].tolist() == sorted(len(words) for words in ids)


def test_fidelity_does_not_count_what_is_background_to_both(tmp_path):
    weights = table(0, VOCABULARY, 5)
    weights[: VOCABULARY // 2, 0] += 9
    other = noisy(weights, 1, 0.5)
    rows, ids = tagged(weights)
    found = score(tmp_path, rows, weights, other, name="fidelity", labelled=False)
    words = np.concatenate(ids)
    chances = softmax(weights[words].astype(np.float64), axis=1)
    first, second = weights[words].argmax(axis=1), other[words].argmax(axis=1)
    counted = (first != 0) | (second != 0)
    kept = chances[np.arange(len(words)), second][counted].sum() / chances.max(axis=1)[counted].sum()
    assert counted.mean() < 0.7
    assert found.result == pytest.approx(kept)


def test_taggers_that_see_nothing_agree(tmp_path):
    weights = np.zeros((VOCABULARY, 5), np.float32)
    weights[:, 0] = 1
    rows, _ = tagged(weights, noise=0.0)
    found = score(tmp_path, rows, weights, weights, name="fidelity")
    assert found.drop == 0
    assert found.drop_upper_95 > 0
