"""Run a graph: one small interface over the runtimes that an artifact may be made for."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Protocol

from compress.core.errors import CompressError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a graph. Symbolic axes are None; `dtype` is NumPy's name."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Runner(Protocol):
    """A graph that is loaded and ready."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name. Feeds that the graph has no input for are ignored."""


GENAI = "onnxruntime-genai"
"""What decoders with KV cache are made for. Their graphs run in ONNX Runtime itself just as well, a whole
text at a time, which is how they are judged."""

RUNTIMES = ("onnxruntime", GENAI, "openvino")


def open_runner(
    graph: Path, *, runtime: str = "onnxruntime", threads: int = 0, provider: str = "CPUExecutionProvider"
) -> Runner:
    """Load `graph` in a runtime; `threads` 0 is one for each core that this process may use.

    Raises:
        CompressError: the runtime is unknown or not installed, or cannot load the graph, or the graph takes
            inputs that no data has.
    """
    runner = _opened(graph, runtime, threads, provider)
    for spec in runner.inputs:
        fixed = prod(size for size in spec.shape if size is not None)
        if not spec.shape or fixed > _LARGEST:
            message = f"{graph} takes '{spec.name}' of shape {list(spec.shape)}, which no data has"
            raise CompressError("graph-invalid", message, hint="export it again")
    return runner


_LARGEST = 2**28
"""Elements of an input by the sizes that a graph fixes; a picture has some millions."""


def _opened(graph: Path, runtime: str, threads: int, provider: str) -> Runner:
    if runtime in ("onnxruntime", GENAI):
        from compress.graph.cached import CachedRunner, is_cached
        from compress.graph.ort import OrtRunner

        runner = OrtRunner(graph, threads=threads, provider=provider)
        return CachedRunner(runner) if is_cached(runner.inputs) else runner
    if runtime == "openvino":
        from compress.graph.vino import OpenVinoRunner

        return OpenVinoRunner(graph, threads=threads)
    hint = did_you_mean(runtime, RUNTIMES)
    raise CompressError("runtime-unknown", f"no runtime '{runtime}'", hint=hint)
