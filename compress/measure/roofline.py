"""How long a graph would take on a machine that is not here: computed, not measured.

Each operator takes a fixed time to be called and then as long as the slower of its arithmetic and its
memory traffic takes. What share of a machine's peaks operators reach was fitted on one core of an EPYC of
the Zen 4 generation (ONNX Runtime 1.32) to seven models in fp32 and int8 at batches of 1 and 8; `FIT` says
how far estimates are off for each of them when the other six are fitted (tests/bench/roofline.py makes it
again). On the same core with AVX2 kernels alone, to which nothing was fitted, times were off by 5% in the
median and by 14% at most. Constants that had been fitted on a Zen 5 were off by 28% there, all to the same
side: ratios of times hold better than times, and another generation must be trusted less.

Source: Williams, Waterman and Patterson, "Roofline: an insightful visual performance model" (2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.report import EstimateFacts, Ratio
from compress.measure.operators import Operator, executed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from compress.core.profile import Profile

FIT = EstimateFacts(
    fitted_on="one core of an AMD EPYC (Zen 4)", models=7, median_error=0.044, largest_error=0.232
)
"""Leave one model out: see tests/bench/README.md."""
UNCERTAINTY = 0.25
"""How far an estimated ratio is taken to be off: more than the worst of a model that was left out (14.5%, and
16.6% with AVX2 kernels), since other machines differ by more than kernels.
"""


@dataclass(frozen=True, kw_only=True)
class Constants:
    """What share of a machine's peaks operators reach.

    `call_s` to call an operator, by device; `efficiency` of products by kind of arithmetic, of the profile's
    peak, and of `attention`, whose softmax is no product; `rates` in GB/s that a core of `core_gop_s` fp32
    GFLOP/s reads and writes in operators that are no products, by type, and `other_rate` in all others.
    """

    call_s: Mapping[str, float]
    efficiency: Mapping[str, float]
    rates: Mapping[str, float]
    other_rate: float
    core_gop_s: float


FITTED = Constants(
    call_s={"cpu": 2e-6, "cuda": 6e-6},  # seen on the processor, the usual launch of a kernel on a GPU
    efficiency={"fp32": 1.0, "fp16": 0.7, "int8": 0.86, "attention": 0.69},
    rates={
        "SkipLayerNormalization": 2.7, "Where": 6.7, "BiasGelu": 9.1, "Erf": 10, "Gelu": 14, "Transpose": 15,
        "LayerNormalization": 19, "InstanceNormalization": 19, "QLinearAdd": 22, "Softmax": 26,
        "ReorderOutput": 27, "DynamicQuantizeLinear": 28, "ReorderInput": 30, "QuantizeLinear": 33, "Add": 41,
        "Mul": 42, "Sum": 47,
    },
    other_rate=10.0,
    core_gop_s=100.0,
)  # fmt: skip
_ATTENTION = ("Attention", "MultiHeadAttention")
_CACHED_BYTES = 16e6
"""Tensors up to about this size stay in caches between operators."""


def estimate(graph: Path, profile: Profile, feeds: Mapping[str, np.ndarray]) -> float:
    """Seconds that one call of `graph` on `feeds` would take on the target, with all its cores.

    The graph is run once on this host to see what it executes.

    Raises:
        CompressError: the profile lacks figures, or the graph cannot run here.
    """
    return seconds_on(profile, executed(graph, feeds))


def seconds_on(profile: Profile, operators: Sequence[Operator], *, constants: Constants = FITTED) -> float:
    """Seconds that the target takes for the operators, one after another.

    Raises:
        CompressError: the profile lacks bandwidth or peak throughput.
    """
    if profile.bandwidth_gb_s is None or "fp32" not in profile.peak_gop_s:
        message = f"profile '{profile.name}' has no bandwidth_gb_s and peak_gop_s.fp32"
        hint = "measure them on the target: compress profiles detect --save FILE.yaml"
        raise CompressError("profile-incomplete", message, hint=hint)
    bandwidth = profile.bandwidth_gb_s * 1e9
    return sum(_seconds(one, profile, bandwidth, constants) for one in operators)


def estimated_speedup(baseline_s: float, result_s: float) -> Ratio:
    """The ratio of two estimates, with limits for what such estimates are off by."""
    value = baseline_s / result_s
    return Ratio(value=value, low=value / (1 + UNCERTAINTY), high=value * (1 + UNCERTAINTY))


def _seconds(operator: Operator, profile: Profile, bandwidth: float, constants: Constants) -> float:
    call = constants.call_s["cpu" if profile.device == "cpu" else "cuda"]
    if operator.operations:
        return call + max(_arithmetic_s(operator, profile, constants), operator.weight_bytes / bandwidth)
    return call + operator.activation_bytes / _rate(operator, profile, bandwidth, constants)


def _arithmetic_s(operator: Operator, profile: Profile, constants: Constants) -> float:
    """Kinds without arithmetic of their own on the target are computed in fp32."""
    has_kernels = operator.dtype in profile.formats and operator.dtype in profile.peak_gop_s
    kind = operator.dtype if has_kernels else "fp32"
    reached = "attention" if operator.type in _ATTENTION and kind == "fp32" else kind
    return operator.operations / (constants.efficiency.get(reached, 0.7) * profile.peak_gop_s[kind] * 1e9)


def _rate(operator: Operator, profile: Profile, bandwidth: float, constants: Constants) -> float:
    """Bytes a second in an operator that is no product. GPUs are bound by memory; so are processors
    where the tensor exceeds the caches. Between processors the rate of a core goes with the square root
    of its peak: clocks differ less than vector units do, and few of these operators use them fully.
    """
    if profile.device != "cpu":
        return bandwidth
    cores = profile.cores or 1
    core = math.sqrt(profile.peak_gop_s["fp32"] / cores / constants.core_gop_s)
    rate = constants.rates.get(operator.type, constants.other_rate) * 1e9 * cores * core
    return min(rate, bandwidth) if operator.activation_bytes > _CACHED_BYTES else rate
