"""Models of language that cut the same texts into other tokens, and models with other inputs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.special import log_softmax

from compress.core.errors import CompressError
from compress.measure.catalogue import choose_metric
from compress.measure.metric import Tools
from compress.measure.side_by_side import Judged, records_of
from compress.runtime.text import load_text
from tests.unit.measure.fakes import SPECIAL, VOCABULARY, Model, noisy, sentences, table, text_folder

TABLE = table(0, VOCABULARY, VOCABULARY)
TASK = "text-generation"


def model(folder, weights, rows, *, name="one", **words):
    folder.mkdir(exist_ok=True)
    text_folder(folder, special=False, **words)
    runner = Model(lambda feeds: {"logits": weights[feeds["input_ids"]]})
    tools = Tools(folder=folder, task=TASK, preprocess=load_text(folder, task=TASK, inputs=runner.inputs))
    return Judged(name=name, runner=runner, tools=tools, rows=rows)


def records(metric, one, reference):
    return records_of(metric, one, reference=reference, advance=lambda steps=1: None)


def bits(texts, weights):
    """Bits of all texts by a loop over their words, and their bytes."""
    logs = log_softmax(weights.astype(np.float64), axis=1)
    total = 0.0
    for text in texts:
        ids = [len(SPECIAL) + int(word[1:]) for word in text.split()]
        total -= sum(logs[a, b] for a, b in itertools.pairwise(ids))
    return total / math.log(2), sum(len(text.encode()) for text in texts)


def test_bits_per_byte_do_not_depend_on_windows(tmp_path):
    """One model sees whole texts, the other windows of eight tokens of the same texts."""
    texts = list(dict.fromkeys(sentences(30, longest=40)))
    rows = [{"text": text} for text in texts]
    metric = choose_metric(TASK, labelled=False, name="bits_per_byte")
    other = noisy(TABLE, 1, 0.3)
    first = model(tmp_path / "a", TABLE, rows)
    second = model(tmp_path / "b", other, rows, length=8)
    before, after = records(metric, first, first), records(metric, second, first)
    assert len(before["nats"]) < len(after["nats"])
    found = metric.compare(before, after)
    (cost, size), (more, _) = bits(texts, TABLE), bits(texts, other)
    assert (found.baseline, found.result) == pytest.approx((cost / size, more / size))
    assert found.drop == pytest.approx(more / cost - 1)
    assert found.drop < found.bound


def test_rows_are_paired_whatever_the_numbers_of_the_labels(tmp_path):
    """Labels of other lengths must not reorder the rows of one model."""
    texts = sentences(20, longest=6)
    metric = choose_metric(TASK, labelled=False, name="bits_per_byte")
    plain = [{"text": text} for text in texts]
    labelled = [{"text": text, "label": 10 ** (number % 5)} for number, text in enumerate(texts)]
    first, second = model(tmp_path / "a", TABLE, plain), model(tmp_path / "b", TABLE, labelled)
    before, after = records(metric, first, first), records(metric, second, first)
    np.testing.assert_array_equal(before["text"], after["text"])


def test_outputs_are_compared_by_number_only_where_inputs_are_the_same(tmp_path):
    rows = [{"text": text} for text in sentences(6, longest=20)]
    metric = choose_metric(TASK, labelled=False, name="divergence")
    first = model(tmp_path / "a", TABLE, rows)
    same = model(tmp_path / "b", noisy(TABLE, 1, 0.3), rows)
    assert metric.compare(records(metric, first, first), records(metric, same, first)).drop > 0
    with pytest.raises(CompressError, match="reads its inputs otherwise") as caught:
        records(metric, model(tmp_path / "c", TABLE, rows, length=8, name="other"), first)
    assert caught.value.code == "inputs-differ"
