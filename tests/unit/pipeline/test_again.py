"""`eval --against` where the artifact's tokenizer is not the original's."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.artifact import Silent
from compress.core.settings import Settings
from compress.model.vocabulary import tokenizer
from compress.pipeline.again import evaluate_again
from compress.pipeline.subjects import Subject
from tests.unit.model.vocabulary.tokenizers_of import CORPUS, wordpiece


def lookup(folder, table):
    """A graph whose hidden states are rows of a table."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "sequence"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", 4])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "lookup", [ids, mask], [out], [numpy_helper.from_array(table, "table")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")


def subject(folder, document, table):
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "max_position_embeddings": 64}))
    lookup(folder, table)
    return Subject(name=folder.name, folder=folder, task="feature-extraction", runtime="onnxruntime")


def test_each_gets_its_own_ids(tmp_path):
    """The rows went with their tokens, so the embeddings are the same."""
    core = wordpiece()
    document = json.loads(core.to_str())
    used = {number for text in CORPUS[:2] for number in core.encode(text).ids}
    numbers = tokenizer.numbered(tokenizer.closed(document, used))
    table = np.random.default_rng(0).normal(size=(core.get_vocab_size(), 4)).astype(np.float32)
    whole = subject(tmp_path / "whole", document, table)
    cut = subject(tmp_path / "cut", tokenizer.cut(document, numbers), table[sorted(numbers)])
    data = tmp_path / "data.txt"
    words = " ".join(CORPUS[:2]).split()
    data.write_text("\n".join(" ".join(words[at : at + 4]) for at in range(20)))
    settings = Settings(data=str(data), metric="cosine")
    found = evaluate_again(cut, settings, against=whole, progress=Silent())
    assert len(numbers) < core.get_vocab_size()
    assert found.result == pytest.approx(1, abs=1e-6)
