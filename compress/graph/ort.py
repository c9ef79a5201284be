"""Graphs in ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime as ort

from compress.core.cores import usable_cores
from compress.core.errors import CompressError
from compress.graph.cached import SETTINGS, with_sizes
from compress.graph.session import TensorSpec
from compress.graph.trust import check_graph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

_THREADS = {
    "session.force_spinning_stop": "1",
    "session.intra_op.spin_duration_us": "100",
}
"""How idle threads wait for work. Why: by default they spin for long, also after a run ends. On two
cores that made the first five calls of the session measured next take twice their time (13 instead of
8 ms), and calls beside any other busy process two to four times. Spinning ends with the run, and after
100 us without work: waits between operators are shorter, so that a quiet machine loses nothing, and a
busy one calls 1.4 to 1.7 times faster. Releases that lack a key ignore it."""

_DTYPES = {"float": "float32", "double": "float64"}


class OrtRunner:
    """A graph in an ONNX Runtime session."""

    def __init__(self, graph: Path, *, threads: int = 0, provider: str = "CPUExecutionProvider") -> None:
        """Load `graph`.

        Raises:
            CompressError: The provider, an operator or a cache's size is missing, or the graph is not to be
                trusted (`check_graph`).
        """
        self._session = _open(graph, threads=threads, provider=provider)
        try:
            inputs = [_spec(node) for node in self._session.get_inputs()]
            self.outputs = tuple(node.name for node in self._session.get_outputs())
        except UnicodeDecodeError as error:
            message = f"{graph} has a name that is not UTF-8 ({error.reason})"
            raise CompressError("graph-invalid", message, hint="export it again") from None
        self.inputs = with_sizes(inputs, graph.with_name(SETTINGS))
        self._names = {spec.name for spec in self.inputs}

    def run(
        self, feeds: Mapping[str, np.ndarray], *, only: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs by name, or those that are asked for."""
        known = {name: array for name, array in feeds.items() if name in self._names}
        wanted = list(self.outputs if only is None else only)
        return dict(zip(wanted, self._session.run(wanted, known), strict=True))


def _open(graph: Path, *, threads: int, provider: str) -> ort.InferenceSession:
    if provider not in ort.get_available_providers():
        raise CompressError(
            "provider-missing",
            f"this onnxruntime has no {provider}",
            hint="install the onnxruntime package of that device, or choose another target",
        )
    check_graph(graph)
    try:
        # Without the fallback, which tries the same provider again and prints that it does.
        options = session_options(threads)
        return ort.InferenceSession(str(graph), options, providers=[provider], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no base class but this one
        reason = str(error).splitlines()[0]
        raise CompressError(
            "graph-unloadable", f"onnxruntime cannot load {graph.name}: {reason}", hint="see doctor"
        ) from error


def session_options(threads: int) -> ort.SessionOptions:
    """Settings that every session has: its threads (0: one for each core that this process may use), how
    they wait.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = 3
    for key, value in _THREADS.items():
        options.add_session_config_entry(key, value)
    return options


def _spec(node: ort.NodeArg) -> TensorSpec:
    dtype = node.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, _DTYPES.get(dtype, dtype), shape)
