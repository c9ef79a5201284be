"""Exact match and F1 of extracted answers, by SQuAD's rules."""

from __future__ import annotations

import numpy as np
import pytest

from compress.measure.answers import normalized
from compress.measure.evaluate import choose_metric
from compress.measure.metrics.answer_f1 import overlap
from tests.unit.measure.fakes import SPECIAL, Model, judged, text_folder

TASK = "question-answering"


@pytest.mark.parametrize(
    ("answer", "plain"),
    [("The  Eiffel-Tower!", "eiffeltower"), ("a man, an owl", "man owl"), ("Theory", "theory"), ("", "")],
)
def test_normalized(answer, plain):
    assert normalized(answer) == plain


@pytest.mark.parametrize(
    ("said", "right", "value"),
    [
        ("the cat", "a cat", 1.0),
        ("black cat", "cat", 2 / 3),
        ("cat cat dog", "cat dog dog", 2 / 3),
        ("dog", "cat", 0.0),
        ("", "cat", 0.0),
        ("", "the", 1.0),
    ],
)
def test_overlap(said, right, value):
    assert overlap(said, right) == pytest.approx(value)


def finder(*wanted):
    """A model that starts an answer at the first and ends it at the last of the `wanted` words."""
    ids = [len(SPECIAL) + number for number in wanted]

    def run(feeds):
        tokens = feeds["input_ids"]
        found = [9.0 * (tokens == one) for one in (ids[0], ids[-1])]
        return {"start_logits": found[0].astype(np.float32), "end_logits": found[1].astype(np.float32)}

    return Model(run)


ROWS = [
    {"question": "w0", "context": "w1 w2 w3 w4 w5", "answers": ["w2 w3"]},
    {"question": "w0", "context": "w9 w8 w2 w3 w7", "answers": ["w8", "w3"]},
    {"question": "w0 w1", "context": " ".join(["w20"] * 60) + " w2 w3 " + "w21 " * 50, "answers": ["w2 w3"]},
]


@pytest.mark.parametrize(
    ("name", "other", "value"),
    [
        ("exact_match", finder(2, 3), 2 / 3),
        ("exact_match", finder(2), 0.0),
        ("f1", finder(2, 3), (1 + 2 / 3 + 1) / 3),
        ("f1", finder(2), (2 / 3 + 0 + 2 / 3) / 3),
    ],
)
def test_best_answers_over_all_windows(tmp_path, name, other, value):
    folder = text_folder(tmp_path, length=24)
    metric = choose_metric(TASK, labelled=True, name=name)
    found = judged(metric, finder(2, 3), {"one": other}, ROWS, folder=folder, task=TASK)["one"]
    assert found.result == pytest.approx(value)
    assert found.items == 3
    assert found.drop_upper_95 > found.drop + 0.1


def test_fidelity(tmp_path):
    folder = text_folder(tmp_path, length=24)
    metric = choose_metric(TASK, labelled=False)
    rows = [{name: row[name] for name in ("question", "context")} for row in ROWS]
    models = {"same": finder(2, 3), "other": finder(4)}
    found = judged(metric, finder(2, 3), models, rows, folder=folder, task=TASK)
    assert found["same"].drop == 0
    assert found["other"].drop > 0.2
