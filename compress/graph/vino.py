"""Graphs in OpenVINO, which runs QDQ graphs at int8 speed.

Precision is set to f32: on processors with bf16 instructions OpenVINO computes in bf16 otherwise, which is
neither the accuracy that was judged nor a speed to compare with fp32 runtimes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.cores import usable_cores
from compress.core.distribution import install_extra
from compress.core.errors import CompressError
from compress.graph.session import TensorSpec
from compress.graph.trust import check_graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

_DTYPES = {"f32": "float32", "f16": "float16", "i64": "int64", "i32": "int32", "boolean": "bool"}


class OpenVinoRunner:
    """A graph compiled for the CPU."""

    def __init__(self, graph: Path, *, threads: int = 0) -> None:
        """Load `graph`.

        Raises:
            CompressError: OpenVINO is missing or cannot load it, or the graph is not to be trusted
                (`check_graph`).
        """
        self._model = _compile(graph, threads=threads)
        self.inputs = tuple(_spec(port) for port in self._model.inputs)
        self.outputs = tuple(port.get_any_name() for port in self._model.outputs)
        self._names = {spec.name for spec in self.inputs}
        self._request = self._model.create_infer_request()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name, copied out of the request's own memory."""
        known = {name: array for name, array in feeds.items() if name in self._names}
        found = self._request.infer(known, share_inputs=True)
        return {name: found[index].copy() for index, name in enumerate(self.outputs)}


def _compile(graph: Path, *, threads: int) -> Any:
    try:
        import openvino
    except ImportError:
        hint = install_extra("openvino")
        raise CompressError("extra-missing", "the openvino runtime is not installed", hint=hint) from None
    check_graph(graph)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
    }
    try:
        return openvino.Core().compile_model(str(graph), "CPU", settings)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        message = f"openvino cannot load {graph.name}: {reason}"
        raise CompressError("graph-unloadable", message, hint="use the onnxruntime runtime") from error


def _spec(port: Any) -> TensorSpec:
    shape = tuple(None if size.is_dynamic else int(size.get_length()) for size in port.get_partial_shape())
    dtype = str(port.get_element_type().get_type_name())
    return TensorSpec(port.get_any_name(), _DTYPES.get(dtype, dtype), shape)
