"""What a runtime never gets to open: operators of foreign libraries, and tensors in other files."""

from __future__ import annotations

import os
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from compress.core.errors import CompressError
from compress.graph.io import read_graph
from compress.graph.session import open_runner
from compress.graph.trust import check_graph, scan
from compress.measure.operators import executed
from compress.measure.profiler import node_times

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])


def model(*nodes, functions=(), imports=()):
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "weight")
    nodes = nodes or (helper.make_node("MatMul", ["x", "weight"], ["y"]),)
    opsets = [helper.make_opsetid("", 20), *(helper.make_opsetid(domain, 1) for domain in imports)]
    graph = helper.make_graph(list(nodes), "g", [X], [Y], [weight])
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))


def saved(folder, made=None):
    path = folder / "model.onnx"
    path.write_bytes((made or model()).SerializeToString())
    return path


def outside(folder, location):
    """A graph whose weight is in the file `location`."""
    path = folder / "model.onnx"
    onnx.save_model(model(), str(path), save_as_external_data=True, location="data.bin", size_threshold=0)
    made = onnx.load_model(str(path), load_external_data=False)
    redirect(made.graph.initializer[0], location)
    return saved(folder, made)


def redirect(tensor, location):
    next(entry for entry in tensor.external_data if entry.key == "location").value = location


def subgraph(node):
    inner = helper.make_graph([node], "inner", [], [])
    return helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)


FOREIGN = helper.make_node("RunAnything", ["x"], ["y"], domain="ai.onnx.contrib")
VALUES = helper.make_tensor("values", TensorProto.FLOAT, [1], [1.0])
INDICES = helper.make_tensor("indices", TensorProto.INT64, [1], [0])
SPARSE = helper.make_sparse_tensor(VALUES, INDICES, [4])


def test_a_graph_of_known_operators_runs(tmp_path):
    path = outside(tmp_path, "data.bin")
    assert check_graph(path).files == {"data.bin"}
    (answer,) = open_runner(path).run({"x": np.ones((2, 4), np.float32)}).values()
    np.testing.assert_array_equal(answer, np.ones((2, 4), np.float32))


@pytest.mark.parametrize(
    "made",
    [
        model(FOREIGN, imports=["ai.onnx.contrib"]),
        model(subgraph(FOREIGN)),
        model(subgraph(subgraph(FOREIGN))),
        model(functions=[helper.make_function("f", "F", ["x"], ["y"], [FOREIGN], [])]),
        model(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="a.so")),
    ],
)
def test_operators_that_need_foreign_code_are_refused(tmp_path, made):
    path = saved(tmp_path, made)
    with pytest.raises(CompressError, match="operator-foreign"):
        open_runner(path)
    with pytest.raises(CompressError, match="operator-foreign"):
        read_graph(path)


def test_a_function_of_the_graph_itself_may_have_any_domain(tmp_path):
    twice = helper.make_node("Add", ["a", "a"], ["b"])
    function = helper.make_function("mine", "Twice", ["a"], ["b"], [twice], [helper.make_opsetid("", 20)])
    node = helper.make_node("Twice", ["x"], ["y"], domain="mine")
    path = saved(tmp_path, model(node, functions=[function], imports=["mine"]))
    (answer,) = open_runner(path).run({"x": np.ones((1, 4), np.float32)}).values()
    np.testing.assert_array_equal(answer, np.full((1, 4), 2, np.float32))


def test_settings_for_the_runtime_are_refused(tmp_path):
    made = model()
    made.metadata_props.add(key="ort_config", value="{}")
    with pytest.raises(CompressError, match="ort_config"):
        check_graph(saved(tmp_path, made))


ELSEWHERE = ("../data.bin", "/etc/passwd", "sub/data.bin", "link.bin", "loop.bin", "*/_ORT_MEM_ADDR_/*")


@pytest.mark.parametrize("location", [*ELSEWHERE, "", "..", "a\0b", "C:data.bin", "sub\\data.bin"])
def test_tensors_that_are_not_beside_the_graph_are_refused(tmp_path, location):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for name in ("data.bin", "model/sub/data.bin"):
        (tmp_path / name).write_bytes(bytes(64))
    (folder / "link.bin").symlink_to(tmp_path / "data.bin")
    (folder / "loop.bin").symlink_to(folder / "loop.bin")
    with pytest.raises(CompressError, match="path-escapes"):
        open_runner(outside(folder, location))


@pytest.mark.parametrize("place", ["sparse", "attribute", "function", "training"])
def test_tensors_are_found_wherever_they_are(tmp_path, place):
    tensor = outside(tmp_path, "../data.bin").read_bytes()
    (external,) = onnx.load_model_from_string(tensor).graph.initializer
    made = model()
    if place == "sparse":
        made.graph.sparse_initializer.append(SPARSE)
        made.graph.sparse_initializer[0].values.CopyFrom(external)
    if place == "attribute":
        made.graph.node.append(helper.make_node("Constant", [], ["z"], value=external))
    if place == "function":
        node = helper.make_node("Constant", [], ["z"], value=external)
        made.functions.append(helper.make_function("f", "F", [], ["z"], [node], []))
    if place == "training":
        made.training_info.add().algorithm.initializer.append(external)
    with pytest.raises(CompressError, match="path-escapes"):
        check_graph(saved(tmp_path, made))


@pytest.mark.parametrize("kind", ["folder", "pipe", "missing"])
def test_tensors_are_read_from_regular_files_alone(tmp_path, kind):
    path = outside(tmp_path, "special.bin")
    if kind == "folder":
        (tmp_path / "special.bin").mkdir()
    if kind == "pipe":
        os.mkfifo(tmp_path / "special.bin")
    with pytest.raises(CompressError, match="graph-incomplete" if kind == "missing" else "graph-invalid"):
        open_runner(path)


def test_links_into_the_hubs_cache_are_followed(tmp_path):
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    path = outside(snapshot, "data.bin")
    (snapshot / "data.bin").rename(blobs / "123")
    (snapshot / "data.bin").symlink_to(blobs / "123")
    assert check_graph(path).files == {"data.bin"}


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"<?xml version='1.0'?>"]
)
def test_what_is_no_graph_is_refused(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(CompressError, match="graph-invalid"):
        open_runner(path)


def tag(number, content, *, length=None):
    """A field of protobuf with bytes; `length` where they follow later."""
    size, prefix = len(content) if length is None else length, bytes([number << 3 | 2])
    while size > 127:
        prefix, size = prefix + bytes([size & 127 | 128]), size >> 7
    return prefix + bytes([size]) + content


def test_weights_inside_are_stepped_over(tmp_path):
    """3 GB of them, which nobody reads: the file has holes."""
    weights = 3 * 2**30
    node = tag(1, tag(4, b"Relu"))
    tensor = tag(9, b"", length=weights)
    tensor = tag(5, tensor, length=len(tensor) + weights)
    graph = tag(7, node + tensor, length=len(node) + len(tensor) + weights)
    path = tmp_path / "model.onnx"
    with path.open("wb") as stream:
        stream.write(graph)
        stream.truncate(len(graph) + weights)
    tracemalloc.start()
    assert check_graph(path).operators == {("", "Relu")}
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def profiled(path):
    return node_times(path, {}, threads=1)


def counted(path):
    return executed(path, {})


@pytest.mark.parametrize("opens", [open_runner, read_graph, profiled, counted])
def test_whatever_opens_a_graph_looks_first(tmp_path, opens):
    with pytest.raises(CompressError, match="operator-foreign"):
        opens(saved(tmp_path, model(FOREIGN, imports=["ai.onnx.contrib"])))


def test_openvino_is_given_no_graph_that_was_refused(tmp_path, monkeypatch):
    given = []
    core = SimpleNamespace(compile_model=lambda *words: given.append(words))
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: core))
    xml = tmp_path / "model.onnx"
    xml.write_text("<?xml version='1.0'?><net name='x' version='11'></net>")
    with pytest.raises(CompressError, match="graph-invalid"):
        open_runner(xml, runtime="openvino")
    with pytest.raises(CompressError, match="operator-foreign"):
        open_runner(saved(tmp_path, model(FOREIGN)), runtime="openvino")
    assert given == []


def test_deep_graphs_are_refused(tmp_path):
    content = b""
    for _ in range(5000):  # a node with a graph with a node ...
        content = tag(5, tag(6, tag(1, content)))
    with pytest.raises(ValueError, match="nested deeper"):
        scan(tag(7, tag(1, content)))


WHOLE = model(subgraph(helper.make_node("Relu", ["x"], ["y"]))).SerializeToString()


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(WHOLE)),
)
def test_damaged_graphs_are_refused_or_read(changes, cut):
    content = bytearray(WHOLE)
    for place, value in changes:
        content[place] = value
    try:
        scan(bytes(content[:cut]))
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("x", []), ("x", [10**9, 4]), ("x", ["batch", 10**12]), ("past_key_values.0.key", ["batch"]),
     ("past_key_values.0.key", ["batch", 2, "past", 4])],
)  # fmt: skip
def test_inputs_that_no_data_has(tmp_path, name, shape):
    made = model()
    made.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    if name == "x":
        del made.graph.input[0]
    with pytest.raises(CompressError, match="graph-invalid|graph-unloadable"):
        open_runner(saved(tmp_path, made))
