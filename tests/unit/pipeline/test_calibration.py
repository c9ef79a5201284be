"""Calibration rows in batches."""

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.graph.session import TensorSpec
from compress.pipeline.calibration import RowCalibration, _batches
from tests.unit.measure.fakes import VOCABULARY, text_folder


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


def calibration(folder, rows, *names):
    inputs = [TensorSpec(name, "int64", (None, None)) for name in names]
    return RowCalibration(rows, processor=folder, task="fill-mask", inputs=inputs)


def test_texts_without_a_mask_are_calibrated_on_one_by_one(tmp_path):
    text_folder(tmp_path)
    rows = [{"text": "w1"}, {"text": "w1 w2 w3"}]
    (batch,) = calibration(tmp_path, rows, "input_ids", "attention_mask").feeds(items=2)
    assert batch["input_ids"].shape == (2, 5)
    shapes = [feeds["input_ids"].shape for feeds in calibration(tmp_path, rows, "input_ids").feeds(items=2)]
    assert sorted(shapes) == [(1, 3), (1, 5)]


def test_a_token_without_an_embedding_is_refused_by_name(tmp_path):
    text_folder(tmp_path, config={"vocab_size": VOCABULARY - 1})
    usual = calibration(tmp_path, [{"text": "w1 w2"}], "input_ids").tokens(count=1, length=2)
    assert usual.tolist() == [[6, 7]]
    with pytest.raises(CompressError, match="'w39' has id 44, the model has 44 embeddings"):
        calibration(tmp_path, [{"text": "w1 w39"}], "input_ids").tokens(count=1, length=2)
