"""Small graphs for tests: make one, run it, put a pass on it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from onnx import ModelProto, NodeProto

PROFILE = Profile(name="test", description="a test", int8_saturates=False)
RANDOM = np.random.default_rng(7)


def matrix(*shape: int) -> np.ndarray:
    """Normal numbers, float32."""
    return RANDOM.standard_normal(shape).astype(np.float32)


def node(operator: str, inputs: Sequence[str], *outputs: str, domain: str = "", **settings: Any) -> NodeProto:
    """A node named after its first output."""
    return helper.make_node(operator, inputs, outputs, name=f"{outputs[0]}_node", domain=domain, **settings)


def model(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, np.ndarray],
    feeds: Mapping[str, np.ndarray],
    outputs: Sequence[str] = ("y",),
    opset: int = 20,
) -> ModelProto:
    """A model whose inputs look like `feeds`, with all axes free."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim)
        for name, array in feeds.items()
    ]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()
    ]
    graph = helper.make_graph(nodes, "test", inputs, values, tensors)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


def run(graph: ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs in ONNX Runtime."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return ort.InferenceSession(graph.SerializeToString(), options).run(None, dict(feeds))


def optimized(graph: ModelProto, folder: Path) -> Counter[str]:
    """The operators that ONNX Runtime runs after its own fusions."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(graph.SerializeToString(), options)
    return operators(onnx.load(options.optimized_model_filepath))


def operators(graph: ModelProto) -> Counter[str]:
    """How many nodes of each type."""
    return Counter(one.op_type for one in graph.graph.node)


def apply(
    step: ModuleType,
    graph: ModelProto,
    folder: Path,
    profile: Profile = PROFILE,
    *,
    feeds: Sequence[Mapping[str, np.ndarray]] = (),
    **config: Any,
) -> ModelProto:
    """Put a pass on a graph, calibrated on `feeds`, and look that it left its input alone."""
    before, after = folder / "before", folder / "after"
    before.mkdir(parents=True)
    after.mkdir()
    onnx.save(graph, before / "model.onnx")
    digest = (before / "model.onnx").read_bytes()
    artifact = Artifact(kind=ArtifactKind.ONNX, folder=before, task="feature-extraction")
    context = Context(folder=after, calibration=Fixed(feeds), profile=profile, progress=Silent())
    result = step.apply(artifact, step.Config(**config), context)
    assert result.folder == after
    assert (before / "model.onnx").read_bytes() == digest
    return onnx.load(after / "model.onnx")


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of two tensors as vectors."""
    return float((a * b).sum() / np.sqrt(np.square(a).sum() * np.square(b).sum()))
