"""Texts longer than a model takes: read in windows where every token counts, cut and told elsewhere."""

from __future__ import annotations

import random

import pytest
import torch

from compress.measure.torch_runner import TorchRunner
from compress.runtime.answers import spans
from compress.runtime.engine import Engine
from compress.runtime.text import load_text
from tests import tiny

NAMES = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
TASK = "token-classification"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    from transformers import BertConfig, BertForTokenClassification

    folder = tmp_path_factory.mktemp("tagger")
    torch.manual_seed(0)
    model = BertForTokenClassification(BertConfig(**tiny.TEXT_SIZES, id2label=NAMES))
    tiny.spread(model, 0)
    model.eval().save_pretrained(folder)
    tiny.tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def engine(tagger):
    runner = TorchRunner(tagger, TASK)
    text = load_text(tagger, task=TASK, inputs=runner.inputs)
    config = {"id2label": {str(number): name for number, name in NAMES.items()}}
    return Engine(folder=tagger, config=config, runner=runner, preprocessor=text)


def words(count, seed):
    pick = random.Random(seed)
    return [pick.choice(tiny.TEXT.split()) for _ in range(count)]


def test_spans_of_long_texts_are_those_of_transformers_windows(tagger, engine):
    from transformers import pipeline

    overlap = engine.preprocessor.overlap
    assert overlap == 16
    reference = pipeline(TASK, model=str(tagger), aggregation_strategy="simple", stride=overlap)
    texts = [" ".join(words(count, count)) for count in (5, 62, 63, 100, 300)]
    found = spans(engine, [{"text": text} for text in texts], 4)
    for text, ours in zip(texts, found, strict=True):
        expected = reference(text)
        assert [(span["label"], span["start"], span["end"]) for span in ours] == [
            (span["entity_group"], span["start"], span["end"]) for span in expected
        ]
        assert [span["score"] for span in ours] == pytest.approx(
            [span["score"] for span in expected], rel=1e-3
        )
    assert max(span["end"] for span in found[-1]) > len(texts[-1]) * 0.9


def test_every_word_of_a_long_list_has_the_tag_of_the_window_around_it(engine):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    row = words(200, 7)
    (tags,) = spans(engine, [{"tokens": row}], 4)
    tokenizer = AutoTokenizer.from_pretrained(engine.folder)
    model = AutoModelForTokenClassification.from_pretrained(engine.folder)
    read = tokenizer(
        row, is_split_into_words=True, truncation=True, stride=16, return_overflowing_tokens=True,
        return_tensors="pt", padding=True,
    )  # fmt: skip
    read.pop("overflow_to_sample_mapping")
    with torch.inference_mode():
        classes = model(**read).logits.argmax(-1)
    offered: dict[int, set[str]] = {}
    for number in range(len(classes)):
        for position, word in enumerate(read.word_ids(number)):
            if word is not None:
                offered.setdefault(word, set()).add(NAMES[int(classes[number, position])])
    assert len(tags) == 200
    assert all(tag in offered[word] for word, tag in enumerate(tags))
