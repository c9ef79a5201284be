"""Small graphs as torch's exporter writes them, and two independent ways to run one."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HEADS, WIDTH = 2, 4
HIDDEN = HEADS * WIDTH


class Builder:
    """Nodes and constants by name; `build` infers the shapes that an exporter would have written."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.known: list[onnx.ValueInfoProto] = []
        self.rng = np.random.default_rng(seed)

    def const(self, name: str, value: object) -> str:
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, *shape: int) -> str:
        return self.const(name, self.rng.normal(size=shape) * shape[0] ** -0.5)

    def add(self, operator: str, *inputs: str, out: str, **settings: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [out], name=f"node_{out}", **settings))
        return out

    def state(self, name: str, kind: int, *shape: int | str) -> str:
        """Write a value's shape where inference cannot tell it; torch's exporter knows it."""
        self.known.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def linear(self, x: str, name: str, width: int = HIDDEN, inside: int = HIDDEN) -> str:
        self.add("MatMul", x, self.weight(f"{name}.weight", inside, width), out=f"{name}_product")
        return self.add("Add", f"{name}_product", self.weight(f"{name}.bias", width), out=name)

    def build(self, inputs: dict[str, tuple[int, list]], outputs: list[str], *, opset: int = 20):
        values = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "g", values, results, self.tensors, value_info=self.known)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        onnx.checker.check_model(inferred, full_check=True)
        return inferred


TOKENS = {"x": (TensorProto.FLOAT, ["batch", "sequence", HIDDEN])}
MASK = {"attention_mask": (TensorProto.INT64, ["batch", "sequence"])}


def key_mask(b: Builder) -> str:
    """(B, 1, 1, S): 0 where a key counts, the lowest float where it is padding."""
    b.add("Cast", "attention_mask", out="real", to=TensorProto.BOOL)
    b.add("Unsqueeze", "real", b.const("middle", np.array([1, 2])), out="real4")
    b.const("zero", np.float32(0))
    b.const("lowest", np.finfo(np.float32).min)
    return b.add("Where", "real4", "zero", "lowest", out="mask")


def row_mask(b: Builder) -> str:
    """The same as (B, 1, S, S), in the way in which transformers 5 builds and indexes it."""
    b.add("Cast", "attention_mask", out="real", to=TensorProto.BOOL)
    for axis, name in enumerate(("batch", "sequence")):
        b.add("Shape", "attention_mask", out=f"{name}_n", start=axis, end=axis + 1)
        b.add("Squeeze", f"{name}_n", out=f"{name}_size")
        b.add("Range", "i0", f"{name}_size", "i1", out=f"{name}_range")
        b.state(f"{name}_range", TensorProto.INT64, name)
    b.const("i0", np.int64(0))
    b.const("i1", np.int64(1))
    b.add("Unsqueeze", "batch_range", b.const("a123", np.array([1, 2, 3])), out="items")
    b.add("Unsqueeze", "sequence_range", b.const("a012", np.array([0, 1, 2])), out="keys")
    b.add("Unsqueeze", "sequence_range", b.const("a013", np.array([0, 1, 3])), out="queries")
    b.add("Max", "items", "keys", out="both")
    b.add("Shape", "both", out="both_shape", start=0)
    last = b.const("last", np.array([-1]))
    for name in ("items", "keys"):
        b.add("Expand", name, "both_shape", out=f"{name}_all")
        b.add("Unsqueeze", f"{name}_all", last, out=f"{name}_column")
    b.add("Concat", "items_column", "keys_column", out="places", axis=-1)
    b.add("GatherND", "real", "places", out="real4", batch_dims=0)
    b.state("real4", TensorProto.BOOL, "batch", 1, 1, "sequence")
    b.add("GreaterOrEqual", "queries", "i0", out="always")
    b.add("And", "always", "real4", out="allowed")
    b.const("zero", np.float32(0))
    b.const("lowest", np.finfo(np.float32).min)
    return b.add("Where", "allowed", "zero", "lowest", out="mask")


def heads_of(b: Builder, x: str, name: str, order: tuple[int, ...] = (0, 2, 1, 3)) -> str:
    if "head_shape" not in {tensor.name for tensor in b.tensors}:
        b.const("head_shape", np.array([0, 0, HEADS, WIDTH]))
    b.add("Reshape", x, "head_shape", out=f"{name}_view")
    return b.add("Transpose", f"{name}_view", out=f"{name}_heads", perm=list(order))


def attention(b: Builder, x: str, biases: list[str], *, divide: bool = False, key_order=(0, 2, 3, 1)) -> str:
    """Eager attention over `x`, with `biases` added to the scaled scores; returns (B, T, hidden)."""
    query = heads_of(b, b.linear(x, "query"), "q")
    key = heads_of(b, b.linear(x, "key"), "k", order=key_order)
    if tuple(key_order) == (0, 2, 1, 3):
        key = b.add("Transpose", key, out="k_back", perm=[0, 1, 3, 2])
    value = heads_of(b, b.linear(x, "value"), "v")
    b.add("MatMul", query, key, out="product")
    factor = b.const("factor", WIDTH**0.5 if divide else WIDTH**-0.5)
    scores = b.add("Div" if divide else "Mul", "product", factor, out="scaled")
    for index, bias in enumerate(biases):
        scores = b.add("Add", scores, bias, out=f"biased_{index}")
    b.add("Softmax", scores, out="probabilities", axis=-1)
    b.add("MatMul", "probabilities", value, out="context")
    b.add("Transpose", "context", out="context_back", perm=[0, 2, 1, 3])
    b.add("Reshape", "context_back", b.const("flat", np.array([0, 0, HIDDEN])), out="joined")
    return b.linear("joined", "output")


def tokens(batch: int, length: int, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    mask = np.ones((batch, length), np.int64)
    mask[1::2, max(1, length // 2) :] = 0
    return {"x": rng.normal(size=(batch, length, HIDDEN)).astype(np.float32), "attention_mask": mask}


def reference(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX's own evaluator in NumPy."""
    return ReferenceEvaluator(model).run(None, _known(model, feeds))


def runtime(model: onnx.ModelProto, feeds: dict[str, np.ndarray], *, optimized: str = "") -> list[np.ndarray]:
    """ONNX Runtime; `optimized` names a file for the graph that it made of it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = optimized
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, _known(model, feeds))


def _known(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = {value.name for value in model.graph.input}
    return {name: value for name, value in feeds.items() if name in names}


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]
