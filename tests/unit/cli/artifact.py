"""FIXTURE: a small artifact that loads: a table of embeddings, a tokenizer of words, a saved report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from compress.core.recipe import Recipe, Step
from compress.pipeline.manifest import Source, write_manifest
from compress.report.files import render_all
from tests.unit.report import example

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.report import Report

WORDS = ["[PAD]", "[UNK]", "a", "word", "of", "the", "text"]


def publish(
    folder: Path,
    *,
    report: Report | None = None,
    table: np.ndarray | None = None,
    step: str = "quantize.dynamic",
) -> Path:
    """Write the artifact into `folder` and seal it."""
    folder.mkdir(parents=True, exist_ok=True)
    _graph(folder, np.eye(len(WORDS), 4, dtype=np.float32) if table is None else table)
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 16}
    _json(folder / "tokenizer_config.json", settings)
    config = {"model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 16}
    _json(folder / "config.json", {**config, "pad_token_id": 0})
    for name, text in render_all(report or example.report(), example.evidence()).items():
        (folder / name).write_text(text, encoding="utf8")
    write_manifest(
        folder,
        created="2026-11-23T00:12:41+00:00",
        task="feature-extraction",
        source=Source(ref="org/name", digest="d" * 64),
        recipe=Recipe(name="int8", steps=(Step(name=step),)),
        seed=0,
        host={"cpu": "x"},
        versions={"compress": "0.1.0"},
    )
    return folder


def _graph(folder: Path, table: np.ndarray) -> None:
    width = table.shape[1]
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", width])
    node = helper.make_node("Gather", ["embeddings.word.weight", "input_ids"], ["last_hidden_state"])
    weights = [numpy_helper.from_array(table, "embeddings.word.weight")]
    graph = helper.make_graph([node], "g", [ids], [out], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save_model(model, str(folder / "model.onnx"))


def _json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values), encoding="utf8")
