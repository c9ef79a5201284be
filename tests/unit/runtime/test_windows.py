"""Texts in windows, and graphs that take no mask."""

from __future__ import annotations

import numpy as np
import pytest

from compress.runtime.answers import fills, replies, spans
from compress.runtime.engine import Engine
from compress.runtime.text import load_text
from tests.unit.measure.fakes import Model, text_folder

NAMES = {"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}


def engine(folder, model, task):
    text = load_text(folder, task=task, inputs=model.inputs)
    return Engine(folder=folder, config=NAMES, runner=model, preprocessor=text)


def logits(feeds):
    ids = feeds["input_ids"]
    return {"logits": np.eye(45, dtype=np.float32)[ids], "start_logits": ids * 1.0, "end_logits": ids * 1.0}


@pytest.mark.parametrize("mask", [True, False])
def test_texts_share_a_batch_only_where_padding_is_masked(tmp_path, mask):
    text_folder(tmp_path)
    names = ("input_ids", "attention_mask") if mask else ("input_ids",)
    rows = [{"text": "w1 [MASK]"}, {"text": "w1 w2 w3 [MASK]"}, {"text": "[MASK]"}]
    model = Model(logits, inputs=names)
    fills(engine(tmp_path, model, "fill-mask"), rows, 8)
    assert model.sizes == ([3] if mask else [1, 1, 1])
    model = Model(logits, inputs=names)
    spans(engine(tmp_path, model, "token-classification"), rows, 8)
    assert model.sizes == ([3] if mask else [1, 1, 1])
    model = Model(logits, inputs=names)
    question = {"question": "w1 w2", "context": " ".join(f"w{number}" for number in range(40)) + " w1" * 40}
    replies(engine(tmp_path, model, "question-answering"), [question], 8)
    assert sum(model.sizes) > 1
    assert set(model.sizes) == ({sum(model.sizes)} if mask else {1})


def test_every_word_of_a_long_list_has_its_tag(tmp_path):
    """Each word's tag is its id's remainder by three, wherever its window is."""
    text_folder(tmp_path, length=10)
    model = Model(lambda feeds: {"logits": np.eye(3, dtype=np.float32)[feeds["input_ids"] % 3]})
    words = [f"w{7 * number % 40}" for number in range(75)]
    (tags,) = spans(engine(tmp_path, model, "token-classification"), [{"tokens": words}], 4)
    assert tags == [NAMES["id2label"][str((5 + int(word[1:])) % 3)] for word in words]
    assert max(model.sizes) == 4
