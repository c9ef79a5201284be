"""Batches of rows through a graph: sizes, fixed batches, rows that must not share one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.graph.session import TensorSpec
from compress.runtime.answers import embeddings, logits
from compress.runtime.embed import Head
from compress.runtime.engine import Engine
from compress.runtime.load import task_of


class Doubles:
    """A graph that doubles its input, and remembers the sizes of its batches."""

    outputs = ("logits",)

    def __init__(self, batch=None):
        self.inputs = (TensorSpec("x", "float32", (batch, None)),)
        self.sizes = []

    def run(self, feeds):
        self.sizes.append(len(feeds["x"]))
        return {"logits": feeds["x"] * 2}


class Numbers:
    """Rows of numbers as they are."""

    modality = "text"

    def __init__(self, *, mixed_lengths=True):
        self.mixed_lengths = mixed_lengths

    def feeds(self, rows):
        return {"x": np.array([[row["x"], 1] for row in rows], dtype=np.float32)}

    def synthetic(self, *, batch, length):
        raise NotImplementedError


def engine(runner, **options):
    return Engine(folder=Path(), config={}, runner=runner, preprocessor=Numbers(**options))


@pytest.mark.parametrize(
    ("batch", "mixed", "sizes"), [(None, True, [3, 2]), (2, True, [2, 2, 2]), (None, False, [1] * 5)]
)
def test_every_row_is_answered_once_and_in_order(batch, mixed, sizes):
    runner = Doubles(batch)
    rows = [{"x": number} for number in range(5)]
    found = logits(engine(runner, mixed_lengths=mixed), rows, 3)
    assert found.tolist() == [[2 * number, 2] for number in range(5)]
    assert runner.sizes == sizes


def test_embeddings_come_back_in_the_order_of_their_texts():
    texts = ["a", "long text here", "mid one", ""]
    rows = [{"text": text, "x": number} for number, text in enumerate(texts)]
    found = embeddings(engine(Doubles()), rows, 2, head=Head(), normalize=None)
    assert found[:, 0].tolist() == [0, 2, 4, 6]
    assert embeddings(engine(Doubles()), [], 2, head=Head(), normalize=None).shape == (0, 0)


@pytest.mark.parametrize(
    ("architecture", "inputs", "task"),
    [
        ("BertModel", {"input_ids"}, "feature-extraction"),
        ("RobertaForSequenceClassification", {"input_ids"}, "text-classification"),
        ("Wav2Vec2ForSequenceClassification", {"input_values"}, "audio-classification"),
        ("ASTForAudioClassification", {"input_values"}, "audio-classification"),
        ("HubertForCTC", {"input_values"}, "automatic-speech-recognition"),
        ("BertForTokenClassification", {"input_ids"}, "token-classification"),
        ("DebertaV2ForQuestionAnswering", {"input_ids"}, "question-answering"),
        ("ModernBertForMaskedLM", {"input_ids"}, "fill-mask"),
        ("SwinForImageClassification", {"pixel_values"}, "image-classification"),
        ("GPT2LMHeadModel", {"input_ids"}, "text-generation"),
        ("LlamaForCausalLM", {"input_ids"}, "text-generation"),
    ],
)
def test_the_task_of_an_architecture(architecture, inputs, task):
    assert task_of({"architectures": [architecture]}, inputs) == task
    assert task_of({}, inputs) == "feature-extraction"
