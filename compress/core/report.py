"""`report.json`: what programs read. Its keys are a contract; everything else goes to `evidence.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compress.core.config import Frozen
from compress.core.cost import Cost
from compress.core.operators import Operators, SavingLine

Verdict = Literal["pass", "fail", "inconclusive"]


class ModelFacts(Frozen):
    """What was compressed. `ref` as the user named it, pinned; `digest` of all its bytes."""

    ref: str
    kind: str
    task: str
    digest: str
    parameters: int


class EstimateFacts(Frozen):
    """How speeds were estimated, and how far estimates were from measured times of models that the fit had
    not seen (each of `models` left out in turn), on the host that it was made on: relative errors.
    """

    method: Literal["roofline"] = "roofline"
    fitted_on: str
    models: int
    median_error: float
    largest_error: float


class TargetFacts(Frozen):
    """Where the figures hold. `measured` is false where they were computed for other hardware;
    `constrained` is true where this host has more than the target, and every model was timed under the
    `limits` that are named.
    """

    profile: str
    host: str
    measured: bool
    constrained: bool = False
    limits: tuple[str, ...] = ()
    estimate: EstimateFacts | None = None
    """Where `measured` is false."""


class Latency(Frozen):
    """Milliseconds for one call at the `latency` workload (batch 1)."""

    p50: float
    p95: float


class Figures(Frozen):
    """Size and speed of one contender. Latency is of the `latency` workload (batch 1), throughput of
    the `throughput` workload in items a second. Of decoders with a KV cache latency is that of one token,
    there is no throughput of items, and the last three are theirs alone.
    """

    size_bytes: int
    latency_ms: Latency | None = None
    throughput_per_s: float | None = None
    load_s: float | None = None
    peak_rss_bytes: int | None = None
    prefill_tokens_per_s: float | None = None
    decode_tokens_per_s: float | None = None
    time_to_first_token_ms: float | None = None


class Ratio(Frozen):
    """A ratio of two times with its two-sided 95% interval; above 1 the artifact is faster."""

    value: float
    low: float
    high: float


class Speedup(Frozen):
    """Of the throughput workload (of decoders with a KV cache: of decoding), against both baselines."""

    vs_torch: Ratio | None
    vs_onnxruntime_fp32: Ratio | None
    vs_torch_bfloat16: Ratio | None = None


class Baselines(Frozen):
    """The model as shipped in PyTorch, and what a careful user has already: ONNX Runtime, fp32. Of decoders
    also PyTorch in bfloat16, where the processor has products in it; its size is that of the same checkpoint.
    """

    torch: Figures | None
    onnxruntime_fp32: Figures | None
    torch_bfloat16: Figures | None = None


class Accuracy(Frozen):
    """On the test split. `drop` is positive when the artifact is worse, in units of the metric
    (for perplexity: relative increase); `drop_upper_95` is its one-sided 95% upper bound.
    """

    metric: str
    kind: Literal["task", "fidelity"]
    items: int
    baseline: float
    result: float
    drop: float
    drop_upper_95: float


class BudgetLine(Frozen):
    """One budget: the `limit` as set, the `value` measured, the `bound` that was compared."""

    name: str
    limit: str
    value: float
    bound: float
    verdict: Verdict


class Gate(Frozen):
    """The verdict over all budgets: the worst of them."""

    verdict: Verdict
    budgets: tuple[BudgetLine, ...]


class StepLine(Frozen):
    """One step that was tried. `accuracy` is on the choice part; `why` says what it bought, or
    why it was left out. A candidate's steps carry its name in `config["recipe"]`. `seconds` are of the
    clock; `cpu_seconds` of all processors, which other programs change less.
    """

    name: str
    config: dict[str, Any]
    seconds: float
    cpu_seconds: float | None = None
    peak_rss_bytes: int
    size_bytes: int
    accuracy: float | None
    kept: bool
    why: str


class Report(Frozen):
    """The whole of `report.json`."""

    schema_version: Literal[1] = 1
    model: ModelFacts
    target: TargetFacts
    baselines: Baselines
    result: Figures
    speedup: Speedup
    accuracy: Accuracy | None
    gate: Gate
    steps: tuple[StepLine, ...]
    operators: Operators | None = None
    """Latency by operator; None where the target is not this host."""


class Samples(Frozen):
    """Raw times of one contender at one workload, in seconds a call, in the order taken."""

    contender: str
    workload: str
    batch: int
    length: int
    seconds: tuple[float, ...]


class Component(Frozen):
    """Bytes of one part of the model (`embedding`, `attention`, `ffn`, `head`, `other`) by dtype."""

    name: str
    dtype: str
    before_bytes: int
    after_bytes: int


class CandidateLine(Frozen):
    """One recipe that was tried, measured on the choice part, interleaved with both baselines."""

    name: str
    runtime: str
    size_bytes: int | None
    drop: float | None
    vs_onnxruntime_fp32: dict[str, Ratio] = Field(default_factory=dict)
    vs_torch: dict[str, Ratio] = Field(default_factory=dict)
    kept: bool
    why: str


class Elsewhere(Frozen):
    """Fidelity on text of a domain that no step saw, for models that were pruned or healed."""

    source: str
    same_domain: bool = False
    """Whether steps saw other text of this domain (shipped passages that were mixed in to heal on)."""
    accuracy: Accuracy


class Uncalibrated(Frozen):
    """The same bits and groups by plain rounding: what calibration is to be better than."""

    size_bytes: int
    accuracy: Accuracy


class GroupBits(Frozen):
    """Matrices that were given the same `bits` by their sensitivity: `divergence` is what rounding them alone
    leaves, KL in nats a token by bits; measured, but for the most bits, which follow from the fewest.
    """

    names: tuple[str, ...]
    elements: int
    bits: int
    divergence: dict[int, float]


class Evidence(Frozen):
    """The whole of `evidence.json`: what the pages draw and what a doubter re-computes."""

    schema_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    data: dict[str, Any]
    """Source, columns used, items of the calibration and test splits, licence of a shipped sample."""
    host: dict[str, Any]
    versions: dict[str, str]
    parity: list[dict[str, Any]]
    """Per shape: the largest absolute difference of each output from the module's."""
    fused: dict[str, int]
    """What was fused or simplified in the published graph, by type."""
    operators: dict[str, int]
    """Operators in the published graph, by type."""
    samples: tuple[Samples, ...]
    ratios: dict[str, dict[str, Ratio]]
    """By baseline, then by workload."""
    components: tuple[Component, ...]
    candidates: tuple[CandidateLine, ...]
    costs: dict[str, Cost] = Field(default_factory=dict)
    """By contender: what inference costs on the target."""
    noise: list[str]
    """What made these figures less certain: load, variation, throttling."""
    notes: list[str]
    elsewhere: Elsewhere | None = None
    uncalibrated: Uncalibrated | None = None
    sensitivity: tuple[GroupBits, ...] = ()
    savings: tuple[SavingLine, ...] = ()
    """What each pruning step would save of the original; empty where its structure is not understood."""
