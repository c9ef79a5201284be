import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.errors import CompressError
from compress.graph.check import check


def save(folder, *, axes=("batch", "sequence"), outside=True):
    folder.mkdir(exist_ok=True)
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "weight")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [*axes, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [*axes, 4])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "weight"], ["y"])], "g", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = folder / "model.onnx"
    onnx.save_model(
        model, str(path), save_as_external_data=outside, location="model.onnx.data", size_threshold=0
    )
    return path


def redirect(path, location):
    model = onnx.load_model(str(path), load_external_data=False)
    next(
        entry for entry in model.graph.initializer[0].external_data if entry.key == "location"
    ).value = location
    path.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("outside", [False, True])
def test_a_whole_graph_passes(tmp_path, outside):
    check(save(tmp_path / "a", outside=outside))


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "sub/../../secret.bin", "link.bin"])
def test_tensors_outside_the_folder_are_refused(tmp_path, location):
    path = save(tmp_path / "a")
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (tmp_path / "a" / "link.bin").symlink_to(tmp_path / "secret.bin")
    redirect(path, location)
    with pytest.raises(CompressError, match=r"path-escapes"):
        check(path)


def test_a_tensor_in_a_subgraph_is_checked_too(tmp_path):
    path = save(tmp_path / "a")
    model = onnx.load_model(str(path), load_external_data=False)
    tensor = onnx.TensorProto()
    tensor.CopyFrom(model.graph.initializer[0])
    redirected = next(entry for entry in tensor.external_data if entry.key == "location")
    redirected.value = "../secret.bin"
    inner = helper.make_graph([helper.make_node("Constant", [], ["z"], value=tensor)], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompressError, match=r"path-escapes"):
        check(path)


def test_a_missing_tensor_file_is_told(tmp_path):
    path = save(tmp_path / "a")
    path.with_name("model.onnx.data").unlink()
    with pytest.raises(CompressError, match=r"graph-incomplete.*is missing"):
        check(path)


def test_a_cut_tensor_file_is_told(tmp_path):
    path = save(tmp_path / "a")
    path.with_name("model.onnx.data").write_bytes(bytes(10))
    with pytest.raises(CompressError, match=r"graph-incomplete.*expected 64"):
        check(path)


@pytest.mark.parametrize(
    "axes", [("n", "sequence"), ("batch", "tokens"), (2, "sequence"), (None, "sequence")]
)
def test_axes_have_the_names_that_tools_look_for(tmp_path, axes):
    with pytest.raises(CompressError, match=r"axes-invalid"):
        check(save(tmp_path / "a", axes=axes))


def test_a_fixed_length_is_no_dynamic_axis(tmp_path):
    check(save(tmp_path / "a", axes=("batch", 7)))


def test_no_file(tmp_path):
    with pytest.raises(CompressError, match=r"graph-missing"):
        check(tmp_path / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x0a"])
def test_no_graph(tmp_path, content):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(CompressError, match=r"graph-invalid"):
        check(path)


def test_a_graph_that_breaks_the_rules(tmp_path):
    path = save(tmp_path / "a", outside=False)
    model = onnx.load_model(str(path))
    model.graph.node[0].input[0] = "nobody"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompressError, match=r"graph-invalid"):
        check(path)
