"""What a graph computes and moves at given inputs: one entry for each operator that is executed.

Why by running it once: ONNX Runtime's own record has the shapes of every operator that it executes,
after its fusions and with its own operators among them, which no shape inference knows. Times in that
record are not used.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from compress.core.errors import CompressError
from compress.graph.trust import check_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

Shape = tuple[int, ...]

_BYTES = {
    "double": 8, "int64": 8, "uint64": 8, "float": 4, "int32": 4, "uint32": 4, "float16": 2, "bfloat16": 2,
    "int16": 2, "uint16": 2, "int4": 0.5, "uint4": 0.5,
}  # fmt: skip
"""Bytes of an element; one byte for types that are not named."""

_PRODUCTS = {
    "MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulNBits", "MatMulInteger", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm",
}  # fmt: skip
_CONVOLUTIONS = {
    "Conv",
    "FusedConv",
    "NhwcFusedConv",
    "NhwcConv",
    "ConvInteger",
    "QLinearConv",
    "QLinearConv2d",
}
_ATTENTION = {"Attention", "QAttention", "MultiHeadAttention"}
_BY_BYTE = ("int8", "uint8")
_LOOKUPS = {
    "Gather",
    "GatherElements",
    "GatherND",
    "GatherBlockQuantized",
    "Slice",
    "EmbedLayerNormalization",
}
"""Operators that read as much of their first input as they write, and not all of it."""
_VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape"}
"""Operators that move nothing."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One executed operator. `operations` counts additions and multiplications of a matrix product or
    convolution (0 for others), `dtype` their kind: `fp32`, `fp16` or `int8`; `elements` counts outputs.
    """

    name: str
    type: str
    dtype: str
    operations: float
    weight_bytes: float
    activation_bytes: float
    """Read and written, without weights."""
    elements: int


@dataclass(frozen=True)
class _Tensor:
    dtype: str
    shape: Shape

    @property
    def bytes(self) -> float:
        return math.prod(self.shape) * _BYTES.get(self.dtype, 1)


def executed(graph: Path, feeds: Mapping[str, np.ndarray]) -> list[Operator]:
    """Run `graph` once on this host's processor and list what it executed.

    Raises:
        CompressError: onnxruntime cannot load or run the graph here.
    """
    check_graph(graph)
    with tempfile.TemporaryDirectory() as folder:
        try:
            record = _profiled(graph, feeds, Path(folder) / "profile")
        except Exception as error:  # onnxruntime's exceptions share no base class but this one
            reason = str(error).splitlines()[0]
            message = f"cannot run {graph.name} to count its operations: {reason}"
            raise CompressError("graph-unloadable", message, hint="see `compress doctor`") from error
        events = json.loads(record.read_text(encoding="utf8"))
    return [_operator(event) for event in events if event["name"].endswith("_kernel_time")]


def _profiled(graph: Path, feeds: Mapping[str, np.ndarray], prefix: Path) -> Path:
    options = ort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(prefix)
    options.log_severity_level = 3
    # Packed weights vanish from the record.
    options.add_session_config_entry("session.disable_prepacking", "1")
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    names = {node.name for node in session.get_inputs()}
    session.run(None, {name: array for name, array in feeds.items() if name in names})
    return Path(session.end_profiling())


def _operator(event: Mapping[str, Any]) -> Operator:
    facts = event["args"]
    kind = facts["op_name"]
    inputs, outputs = _tensors(facts["input_type_shape"]), _tensors(facts["output_type_shape"])
    written = sum(tensor.bytes for tensor in outputs)
    weights, read = float(facts["parameter_size"]), float(facts["activation_size"])
    if kind in _LOOKUPS:
        weights, read = 0.0, written
    if kind in _VIEWS:
        weights = read = written = 0.0
    return Operator(
        name=event["name"].removesuffix("_kernel_time"),
        type=kind,
        dtype=_dtype(inputs),
        operations=float(_operations(kind, inputs, outputs)),
        weight_bytes=weights,
        activation_bytes=read + written,
        elements=sum(math.prod(tensor.shape) for tensor in outputs),
    )


def _tensors(entries: Sequence[Mapping[str, Sequence[int]]]) -> list[_Tensor]:
    """Types and shapes, of which the record makes dictionaries with one key."""
    pairs = [next(iter(entry.items())) for entry in entries if entry]
    return [_Tensor(dtype, tuple(shape)) for dtype, shape in pairs]


def _dtype(inputs: Sequence[_Tensor]) -> str:
    """The kind of arithmetic: 8-bit where a matrix of bytes is multiplied by one or by activations that
    are quantized as they come (4-bit weights are widened to floating point before they are multiplied).
    """
    matrices = [tensor for tensor in inputs if len(tensor.shape) >= 2]
    floats = [tensor.dtype for tensor in matrices if tensor.dtype in ("float", "float16")]
    if any(tensor.dtype in _BY_BYTE for tensor in matrices) and not _widened(matrices):
        return "int8"
    return "fp16" if floats and floats[0] == "float16" else "fp32"


def _widened(matrices: Sequence[_Tensor]) -> bool:
    """Whether a weight is MatMulNBits' (columns, blocks, bytes of a block)."""
    first, *others = matrices
    return first.dtype in ("float", "float16") and any(len(other.shape) == 3 for other in others)


def _operations(kind: str, inputs: Sequence[_Tensor], outputs: Sequence[_Tensor]) -> int:
    """Additions and multiplications, two for each product."""
    if not outputs:
        return 0
    size = math.prod(outputs[0].shape)
    if kind in _PRODUCTS:
        return 2 * size * inputs[0].shape[-1]
    if kind in _CONVOLUTIONS:
        return 2 * size * math.prod(_kernel(inputs)[1:])
    if kind in _ATTENTION:
        return _attention_operations(kind, inputs, outputs[0].shape)
    return 0


def _kernel(inputs: Sequence[_Tensor]) -> Shape:
    """A convolution's weight (out, in / groups, *kernel): the second input of that many axes."""
    axes = len(inputs[0].shape)
    return next((one.shape for one in inputs[1:] if len(one.shape) == axes), (1,))


def _attention_operations(kind: str, inputs: Sequence[_Tensor], out: Shape) -> int:
    """Scores and their use, (B, T, S) over the hidden size, and the projections where a matrix of weights
    says that they are fused. Heads may have an axis of their own: (B, H, T, D) instead of (B, T, H D).
    """
    query, second = inputs[0].shape, inputs[1].shape
    fused = kind != "MultiHeadAttention" and len(second) == 2
    batch, length = query[0], query[-2]
    hidden = math.prod(out) // (batch * length)
    scores = 4 * batch * length * (length if fused else second[-2]) * hidden
    return scores + (2 * batch * length * math.prod(second) if fused else 0)
