"""Calibration rows in batches."""

import numpy as np

from compress.pipeline.calibration import _batches


def test_texts_of_a_length_are_together_and_no_length_comes_first():
    lengths = np.random.default_rng(0).integers(1, 400, 203).tolist()
    rows = [{"text": "a" * length, "at": at} for at, length in enumerate(lengths)]
    batches = _batches(rows)
    assert sorted(row["at"] for batch in batches for row in batch) == list(range(203))
    padded = sum(len(batch) * max(len(row["text"]) for row in batch) for batch in batches)
    plain = sum(8 * max(lengths[at : at + 8]) for at in range(0, 203, 8))
    assert padded < 1.1 * sum(lengths) < 0.65 * plain
    means = [np.mean([len(row["text"]) for row in batch]) for batch in batches]
    assert 120 < np.mean(means[:10]) < 280  # what reads the first batches alone sees all lengths
    assert _batches(rows) == batches


def test_rows_without_text_keep_their_order():
    rows = [{"image": "x" * (20 - at)} for at in range(19)]
    assert [row for batch in _batches(rows) for row in batch] == rows
