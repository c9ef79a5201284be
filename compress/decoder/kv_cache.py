"""Keys and values that a decoder's graph keeps, as 8-bit integers with a scale for each channel.

ONNX Runtime's GroupQueryAttention writes `round(x / scale)`, cut to -128..127, into the cache and reads it
back as `code * scale`, for the prompt too. The scales are constants of the graph: for each head and channel
the largest absolute key (after the rotation by position) and value that running text brought forth, over 127.
Why by channel: keys have channels that are many times larger than the rest (KVQuant, arXiv:2401.18079), which
one scale for all would make the others pay for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compress.core.errors import CompressError
from compress.graph.cached import PAST, PRESENT, first_step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compress.graph.ort import OrtRunner

SAMPLES, LENGTH = 16, 512
"""Windows of calibration text and their tokens."""

_ATTENTION = "GroupQueryAttention"
_LARGEST = 127
_KEY_SCALE, _VALUE_SCALE = 12, 13
"""Places of the scales among the operator's inputs."""


def _is_cache(name: str) -> bool:
    """Whether an input or output holds keys or values, not the state of another kind of layer."""
    return name.startswith((PAST, PRESENT)) and name.endswith((".key", ".value"))


def refuse_traced(architecture: str) -> CompressError:
    """Why a graph that torch traced keeps its cache in fp32."""
    message = (
        f"kv_cache: int8 needs a graph with {_ATTENTION}, which ONNX Runtime GenAI's builder does not make "
        f"of {architecture}"
    )
    return CompressError("cache-unsupported", message, hint="leave kv_cache out: the cache is then float32")


def largest(runner: OrtRunner, windows: np.ndarray) -> dict[str, np.ndarray]:
    """The largest absolute keys and values (heads, width) float32 of each layer, by the graph's outputs, over
    windows of token ids (windows, length).
    """
    names = [name for name in runner.outputs if _is_cache(name)]
    found: dict[str, np.ndarray] = {}
    for window in windows:
        outputs = runner.run(first_step(runner.inputs, window[None]), only=names)
        for name in names:
            peak = np.abs(outputs[name]).max(axis=(0, 2))  # (1, heads, T, width) -> (heads, width)
            found[name] = np.maximum(found.get(name, np.float32(0)), peak)
    return found


def scales(peaks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scales (1, heads, 1, width) by which peaks (heads, width) become 127; 1 for channels that are 0."""
    return {
        name: np.where(peak > 0, peak / _LARGEST, 1).astype(np.float32)[None, :, None, :]
        for name, peak in peaks.items()
    }


def read_codes(path: Path, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keys and values (B, heads, T, width) float32 as attention reads them in the graph at `path`, of its
    `outputs` with codes.
    """
    graph = onnx.load(str(path), load_external_data=False).graph
    constants = {one.name: one for one in graph.initializer}
    nodes = [node for node in graph.node if node.op_type == _ATTENTION]
    names = {
        node.output[output]: node.input[place]
        for node in nodes
        for output, place in ((1, _KEY_SCALE), (2, _VALUE_SCALE))
    }
    return {
        name: codes * numpy_helper.to_array(constants[names[name]])
        for name, codes in outputs.items()
        if name in names
    }


def write_int8_cache(path: Path, scale: dict[str, np.ndarray]) -> None:
    """Let the graph at `path` keep codes: `scale` (1, heads, 1, width) by the names of its outputs.

    Raises:
        CompressError: something else than grouped attention writes the cache.
    """
    model = onnx.load(str(path), load_external_data=False)
    left = set(scale)
    for node in model.graph.node:
        kept = [name for name in node.output if name in scale]
        if kept:
            left -= set(kept)
            _attend(node, model.graph, scale)
    if left:
        message = f"the graph has no cache of keys and values named {', '.join(sorted(left)[:3])}"
        raise CompressError("cache-unsupported", message, hint="leave kv_cache out")
    for value in (*model.graph.input, *model.graph.output):
        if _is_cache(value.name):
            value.type.tensor_type.elem_type = TensorProto.INT8
    path.write_bytes(model.SerializeToString())


def _attend(node: onnx.NodeProto, graph: onnx.GraphProto, scale: dict[str, np.ndarray]) -> None:
    if node.op_type != _ATTENTION:
        message = f"the cache is written by {node.op_type}, expected {_ATTENTION}"
        raise CompressError("cache-unsupported", message, hint="leave kv_cache out")
    node.input.extend([""] * (_VALUE_SCALE + 1 - len(node.input)))
    for place, output in ((_KEY_SCALE, node.output[1]), (_VALUE_SCALE, node.output[2])):
        constant = numpy_helper.from_array(scale[output], f"{output}.scale")
        graph.initializer.append(constant)
        node.input[place] = constant.name
    node.attribute.extend(
        [
            helper.make_attribute("k_quant_type", "PER_CHANNEL"),
            helper.make_attribute("v_quant_type", "PER_CHANNEL"),
            helper.make_attribute("kv_cache_bit_width", 8),
        ]
    )


def bytes_a_token(runner: OrtRunner) -> int:
    """Bytes by which the cache of one text grows with a token."""
    cache = [spec for spec in runner.inputs if spec.name.startswith(PAST)]
    return sum(np.dtype(one.dtype).itemsize * (one.shape[1] or 0) * (one.shape[3] or 0) for one in cache)
