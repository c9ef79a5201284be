"""Texts longer than a model takes: read in windows where every token counts, cut and told elsewhere."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace

import pytest
import torch

import compress
from compress.graph.session import TensorSpec
from compress.measure.torch_runner import TorchRunner
from compress.pipeline.tokenizer import told_cut
from compress.runtime.answers import spans
from compress.runtime.engine import Engine
from compress.runtime.load import LoadedModel, warn_cut
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


def test_texts_that_are_cut_are_told(tmp_path, tagger):
    rows = [{"text": " ".join(words(count, count))} for count in (5, 62, 63, 100)]
    task, inputs = "text-classification", [TensorSpec("input_ids", "int64", (None, None))]
    text = load_text(tagger, task=task, inputs=inputs)
    assert told_cut(text, rows, name="data") == [
        "data: 2 of 4 texts are longer than the 64 tokens that the model takes, their end is not read"
    ]
    assert told_cut(text, rows[:2], name="data") == []
    embedder = load_text(tagger, task="feature-extraction", inputs=inputs)
    pairs = [{"text": "a", "text_pair": rows[3]["text"]}, {"text": "a", "text_pair": "b"}]
    assert told_cut(embedder, pairs, name="calibration")[0].startswith("calibration: 1 of 2 texts")
    for task in ("token-classification", "text-generation"):
        assert told_cut(load_text(tagger, task=task, inputs=inputs), rows, name="data") == []
    questions = [{"question": "why ?", "context": rows[3]["text"]}]
    answerer = load_text(tagger, task="question-answering", inputs=inputs)
    assert told_cut(answerer, questions, name="data") == []


def test_a_loaded_model_warns_of_texts_that_it_cuts(engine, tagger):
    text = load_text(tagger, task="fill-mask", inputs=engine.runner.inputs)
    text.on_cut = warn_cut
    model = LoadedModel(replace(engine, preprocessor=text), task="fill-mask")
    long = "[MASK] " + " ".join(words(100, 1))
    with pytest.warns(compress.CutText, match="2 texts are longer than the 64 tokens that the model takes"):
        model.predict([long, "a [MASK]", long])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(["a [MASK]"])
        LoadedModel(engine, task=TASK).predict(long)
    assert LoadedModel(engine, task=TASK).count_tokens([long]) > 100
    assert model.count_tokens([long]) == 64
