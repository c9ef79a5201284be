"""Graphs whose cache has an open width, as those of ONNX Runtime GenAI's own builder have."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compress.core.errors import CompressError
from compress.graph.cached import first_step
from compress.graph.ort import OrtRunner
from compress.graph.session import open_runner

IDS = np.array([[5, 6, 7]])


def write(folder, *, cache=TensorProto.FLOAT, heads=2):
    """Logits are the ids; keys are handed on."""
    tokens = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    key = ("past_key_values.0.key", "present.0.key")
    past, present = (
        helper.make_tensor_value_info(name, cache, ["batch", heads, "past", "kv_cache_dim"]) for name in key
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["cast", "last"], ["logits"]),
        helper.make_node("Identity", [key[0]], [key[1]]),
    ]
    last = helper.make_tensor("last", TensorProto.INT64, [1], [2])
    graph = helper.make_graph(nodes, "cached", [*tokens, past], [logits, present], [last])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def tell(folder, **sizes):
    settings = {"model": {"decoder": sizes}}
    (folder / "genai_config.json").write_text(json.dumps(settings), encoding="utf8")


def test_the_settings_tell_the_width(tmp_path):
    graph = write(tmp_path)
    tell(tmp_path, num_key_value_heads=2, head_size=16)
    runner = OrtRunner(graph)
    assert runner.inputs[2].shape == (None, 2, None, 16)
    assert first_step(runner.inputs, IDS)["past_key_values.0.key"].shape == (1, 2, 0, 16)
    assert open_runner(graph).run({"input_ids": IDS})["logits"].ravel().tolist() == [5, 6, 7]


def test_the_settings_tell_the_heads(tmp_path):
    graph = write(tmp_path, heads="heads")
    tell(tmp_path, num_key_value_heads=3, head_size=16)
    assert OrtRunner(graph).inputs[2].shape == (None, 3, None, 16)


def test_a_byte_holds_two_codes(tmp_path):
    graph = write(tmp_path, cache=TensorProto.UINT8)
    tell(tmp_path, num_key_value_heads=2, head_size=16)
    assert OrtRunner(graph).inputs[2].shape == (None, 2, None, 8)


@pytest.mark.parametrize("sizes", [None, {"head_size": 16}])
def test_an_unknown_width_is_refused(tmp_path, sizes):
    graph = write(tmp_path)
    if sizes:
        tell(tmp_path, **sizes)
    with pytest.raises(CompressError, match="num_key_value_heads") as caught:
        open_runner(graph)
    assert caught.value.code == "cache-unknown"
