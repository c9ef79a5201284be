from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.errors import CompressError
from compress.measure.profiler import LEAST, WARM, NodeTime, node_times, sums, times_of
from tests.unit.measure.graphs import feeds, products


def event(name, kind, ts, dur):
    return {"name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": {"op_name": kind}}


def record(durations):
    """One node `a` that takes `durations` microseconds, one call each, and `b` that takes 10 twice a call."""
    events = [{"name": "session_initialization", "ts": 0, "dur": 5, "args": {}}]
    for call, dur in enumerate(durations):
        start = 1000 * (call + 1)
        events += [
            event("a", "MatMul", start + 1, dur),
            event("b", "Add", start + 300, 10),
            event("loop", "Loop", start + 290, 400),
            event("b", "Add", start + 320, 10),
            {"name": "model_run", "ts": start, "dur": 900, "args": {}},
        ]
    return events


def test_times_are_quartiles_over_calls_without_the_first():
    durations = [900, 100, 130, 110, 500]
    found = {one.name: one for one in times_of(record(durations), {"a": "ffn"})}
    assert (found["a"].type, found["a"].component) == ("MatMul", "ffn")
    assert found["a"].seconds == pytest.approx(np.quantile(durations[WARM:], 0.25) / 1e6)
    assert found["b"].seconds == pytest.approx(20e-6)  # both of a call, as in a loop
    assert found["b"].component == "other"
    assert "loop" not in found  # what it runs is counted itself


def test_sums_are_by_type_or_component_the_most_first():
    rows = [("a", "MatMul", "ffn", 1.0), ("b", "MatMul", "attention", 4.0), ("c", "Gelu", "ffn", 2.0)]
    times = [NodeTime(name=n, type=t, component=c, seconds=s) for n, t, c, s in rows]
    assert list(sums(times, "type").items()) == [("MatMul", 5.0), ("Gelu", 2.0)]
    assert list(sums(times, "component").items()) == [("attention", 4.0), ("ffn", 3.0)]


def test_a_graph_is_profiled_as_it_was_fused(tmp_path):
    weight = np.ones((64, 64), np.float32)
    nodes = [  # without names, as passes and tools write them
        helper.make_node("MatMul", ["x", "layer.0.attention.query.weight"], ["q"]),
        helper.make_node("Add", ["q", "bias"], ["h"]),
        helper.make_node("MatMul", ["h", "layer.0.mlp.fc1.weight"], ["y"]),
    ]
    names = ["layer.0.attention.query.weight", "layer.0.mlp.fc1.weight"]
    tensors = [numpy_helper.from_array(weight, name) for name in names]
    tensors.append(numpy_helper.from_array(np.ones(64, np.float32), "bias"))
    shape = ["rows", 64]
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)], tensors,
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, str(tmp_path / "m.onnx"))
    found = node_times(tmp_path / "m.onnx", feeds(), threads=1, budget_s=0.0)
    assert [(one.type, one.component) for one in found] == [("Gemm", "attention"), ("MatMul", "ffn")]
    assert LEAST + WARM > 1
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_graph_that_cannot_run_says_so(tmp_path):
    with pytest.raises(CompressError, match="cannot profile m.onnx"):
        node_times(products(tmp_path / "m.onnx"), feeds(size=3), budget_s=0.0)
