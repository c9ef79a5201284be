"""fp16 weights and arithmetic, with fp32 inputs and outputs.

What fp16 would spoil stays in fp32: numbers that are computed from positions and end in an angle or an
index (rotary embeddings, relative position buckets), since fp16 counts exactly to 2,048 only, and
operators whose sums of squares leave its range.
On targets without fp16 kernels this halves the file and nothing else: runtimes cast back.
Why no bf16: ONNX Runtime has no bf16 kernels on the CPU and adds no casts, so such a graph does not load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

from compress.core.artifact import GRAPH_NAME, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.stored_bits import Storage
from compress.graph.edit import Editor, attributes
from compress.graph.io import read_graph, write_graph
from compress.graph.linear import is_excluded
from compress.graph.precision import to_half
from compress.graph.types import element_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from onnx import NodeProto

    from compress.core.artifact import Artifact, Context

ACCEPTS = ArtifactKind.ONNX
PRODUCES = ArtifactKind.ONNX

_SQUARES = ("Pow", "ReduceMean", "ReduceSumSquare", "ReduceL2", "Sqrt", "Reciprocal", "Exp", "Log")
"""Normalization that is written out: squares pass 65,504 where activations pass 256."""

_SUMS = ("MatMulInteger", "ConvInteger")
"""Operators whose int32 results pass 65,504."""

_INTEGERS = {TensorProto.INT32, TensorProto.INT64}
_EXACT = ("Cos", "Sin")


class Config(Frozen):
    """What stays in fp32, besides what this step keeps there by itself."""

    keep: tuple[str, ...] = ()
    """Types of operators."""
    exclude: tuple[str, ...] = ()
    """Patterns (`*`, `?`) of node names."""


def storage(config: Config) -> dict[str, Storage]:
    """How `plan` expects each kind of matrix to be stored."""
    del config
    return dict.fromkeys(("matrix", "embedding", "rest"), Storage(bits=16))


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return False


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Convert `artifact`'s graph.

    Raises:
        CompressError: the graph has no fp32 weights.
    """
    model = read_graph(artifact.graph)
    if not any(tensor.data_type == TensorProto.FLOAT for tensor in model.graph.initializer):
        message = "the graph has no fp32 weights"
        raise CompressError("nothing-to-quantize", message, hint="leave quantize.half out")
    editor = Editor(model)
    exact = {node.output[0] for node in _exact_nodes(editor, element_types(model))}

    def stays(node: NodeProto) -> bool:
        if node.op_type in (*_SQUARES, *config.keep) or node.output[0] in exact:
            return True
        return _is_sum(editor, node) or is_excluded([node.name], config.exclude)

    write_graph(to_half(model, stays), context.folder / GRAPH_NAME)
    return artifact.at(context.folder)


def _is_sum(editor: Editor, node: NodeProto) -> bool:
    """Whether a node makes floats of an integer product."""
    maker = editor.maker(node.input[0]) if node.op_type == "Cast" else None
    return maker is not None and maker.op_type in _SUMS


def _exact_nodes(editor: Editor, types: Mapping[str, int]) -> Iterator[NodeProto]:
    """The nodes between positions and the angles or indices that are made of them."""
    counted = _Counted(editor, types)
    seen: set[str] = set()
    waiting = [node for node in editor.nodes if _is_end(node, types) and counted.is_made_by(node)]
    while waiting:
        node = waiting.pop()
        if node.output[0] in seen:
            continue
        seen.add(node.output[0])
        yield node
        makers = (editor.maker(name) for name in node.input if types.get(name) == TensorProto.FLOAT)
        waiting.extend(maker for maker in makers if maker is not None)


def _is_end(node: NodeProto, types: Mapping[str, int]) -> bool:
    if types.get(node.input[0] if node.input else "") != TensorProto.FLOAT:
        return False
    return node.op_type in _EXACT or (node.op_type == "Cast" and attributes(node)["to"] in _INTEGERS)


class _Counted:
    """Tells values that depend on integers and constants alone, and on no looked-up row, from the rest."""

    def __init__(self, editor: Editor, types: Mapping[str, int]) -> None:
        self._editor = editor
        self._types = types
        self._known: dict[str, bool] = {}
        for node in editor.nodes:  # in an order in which inputs come first
            result = self.is_made_by(node)
            self._known.update(dict.fromkeys(node.output, result))

    def is_made_by(self, node: NodeProto) -> bool:
        """Whether a node's results are such values."""
        if node.op_type == "Gather" and self._types.get(node.input[0]) == TensorProto.FLOAT:
            return False
        return all(self._is_counted(name) for name in node.input if name)

    def _is_counted(self, name: str) -> bool:
        if name in self._known:
            return self._known[name]
        return self._editor.is_constant(name) or self._types.get(name) != TensorProto.FLOAT
