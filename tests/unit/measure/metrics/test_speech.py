"""Word error rate of transcripts, against a recursive edit distance."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from compress.measure.evaluate import choose_metric
from compress.measure.metrics.wer import edits, words
from tests.unit.measure.fakes import Arrays, Model, judged

TASK = "automatic-speech-recognition"
SIGNS = ["<pad>", "|", "a", "b", "c"]
LETTERS = some.lists(some.sampled_from("abc"), max_size=7)


@given(LETTERS, LETTERS)
def test_edits_are_the_fewest(said, right):
    @cache
    def distance(first, second):
        if not first or not second:
            return max(first, second)
        same = said[first - 1] == right[second - 1]
        return min(
            distance(first - 1, second) + 1,
            distance(first, second - 1) + 1,
            distance(first - 1, second - 1) + (not same),
        )

    assert edits(said, right) == distance(len(said), len(right))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It's NOT, well-known!", "it's not well known"),
        ("Don\u2019t", "don't"),
        (" ", ""),
        ("Ähm 3", "ähm 3"),
    ],
)
def test_words_have_no_case_and_no_punctuation(text, found):
    assert words(text) == found.split()


class Frames(Arrays):
    """Rows hold logits of frames, as `audio`."""

    modality = "audio"
    mixed_lengths = False

    def feeds(self, rows):
        return {"input_values": np.stack([row["audio"] for row in rows])}


def frames(path):
    """Logits whose best path is `path`, a sign a frame."""
    return np.eye(len(SIGNS), dtype=np.float32)[[SIGNS.index(sign) for sign in path]] * 4


ROWS = [
    {"audio": frames(["a", "a", "<pad>", "a", "|", "b"]), "transcript": "Aa b."},
    {"audio": frames(["c", "|", "b"]), "transcript": "c b a"},
    {"audio": frames(["<pad>", "<pad>"]), "transcript": "a"},
]


def models(change=lambda logits: logits):
    return Model(lambda feeds: {"logits": change(feeds["input_values"])}, inputs=("input_values",))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({sign: number for number, sign in enumerate(SIGNS)}))
    (tmp_path / "config.json").write_text(json.dumps({"pad_token_id": 0}))
    return tmp_path


def score(folder, other, *, labelled):
    metric = choose_metric(TASK, labelled=labelled)
    return judged(metric, models(), {"one": other}, ROWS, folder=folder, task=TASK, preprocess=Frames())[
        "one"
    ]


def test_wer(folder):
    swapped = models(lambda logits: logits[..., [0, 1, 3, 2, 4]])  # a for b
    found = score(folder, swapped, labelled=True)
    assert found.baseline == pytest.approx(2 / 6)  # one word is missing in each of two
    assert found.result == pytest.approx((2 + 1 + 1) / 6)
    assert found.drop == pytest.approx(2 / 6)
    assert found.drop < found.drop_upper_95


def test_fidelity_counts_frames_in_which_something_is_said(folder):
    assert score(folder, models(), labelled=False).drop == 0
    silent = models(lambda logits: np.eye(len(SIGNS), dtype=np.float32)[np.zeros(logits.shape[:2], int)])
    found = score(folder, silent, labelled=False)
    chance = np.exp(4) / (np.exp(4) + 4)
    assert found.result == pytest.approx((1 - chance) / 4 / chance, rel=1e-5)
