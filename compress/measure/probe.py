"""What this machine sustains: memory bandwidth and matrix products, each timed for about a second.

The figures are those that a profile's roofline is made of. Matrix products run in the runtime that
artifacts run in, so that they are what its kernels reach and not what the processor could.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from compress.graph.session import open_runner

if TYPE_CHECKING:
    from collections.abc import Callable

_TRIAD_BYTES = 192 * 2**20
"""Three arrays of 64 MiB a core: far more than its caches hold."""
_SIZE = 1024
_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Figures of a machine, with the units and names that profiles use."""

    bandwidth_gb_s: float
    peak_gop_s: dict[str, float]


def probe(
    *, threads: int, seconds: float = _SECONDS, clock: Callable[[], float] = time.perf_counter
) -> Throughput:
    """Time the machine with so many threads; takes about four times `seconds`. With one thread `clock` may
    be `time.process_time`, which stops while other programs have the core.
    """
    return Throughput(
        bandwidth_gb_s=bandwidth_gb_s(threads=threads, seconds=seconds, clock=clock),
        peak_gop_s={
            kind: product_gop_s(kind, threads=threads, seconds=seconds, clock=clock)
            for kind in ("fp32", "int8")
        },
    )


def bandwidth_gb_s(
    *,
    threads: int,
    seconds: float = _SECONDS,
    size: int = _TRIAD_BYTES,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Memory bandwidth in 1e9 bytes a second, as STREAM's `add` counts it: two arrays read, one written.

    Source: McCalpin, "Memory bandwidth and machine balance in current high performance computers" (1995).
    """
    count = max(1, size // 24)
    arrays = [(np.ones(count), np.ones(count), np.empty(count)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:

        def once() -> None:
            # NumPy gives up the interpreter's lock in loops as long as these.
            list(pool.map(lambda three: np.add(three[0], three[1], out=three[2]), arrays))

        return threads * count * 24 / _best(once, seconds, clock) / 1e9


def product_gop_s(
    dtype: str,
    *,
    threads: int,
    seconds: float = _SECONDS,
    size: int = _SIZE,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Matrix products of `size` cubed in ONNX Runtime, in 1e9 additions and multiplications a second.

    `dtype` is `fp32`, or `int8`: unsigned activations with signed weights, as dynamic quantization has.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "product.onnx"
        onnx.save_model(_product(dtype, size), str(graph))
        runner = open_runner(graph, threads=threads)
        kind = np.float32 if dtype == "fp32" else np.uint8
        feeds = {"a": np.ones((size, size), kind)}
        return 2 * size**3 / _best(lambda: runner.run(feeds), seconds, clock) / 1e9


def _product(dtype: str, size: int) -> onnx.ModelProto:
    """A graph of one product of an input (size, size) with a constant that the runtime may pack."""
    small = np.random.default_rng(0).integers(-63, 64, (size, size))
    left, weight, out, operator = {
        "fp32": (TensorProto.FLOAT, small.astype(np.float32), TensorProto.FLOAT, "MatMul"),
        "int8": (TensorProto.UINT8, small.astype(np.int8), TensorProto.INT32, "MatMulInteger"),
    }[dtype]
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", left, [size, size])],
        [helper.make_tensor_value_info("c", out, [size, size])],
        [numpy_helper.from_array(weight, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _best(call: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    """The shortest of the calls that fit in so many seconds (at least two): the machine undisturbed."""
    call()
    best, end = np.inf, clock() + seconds
    while True:
        start = clock()
        call()
        now = clock()
        best = min(best, now - start)
        if now > end:
            return float(best)
