"""FIXTURE: a made-up but plausible report of all-MiniLM-L6-v2. No figure in it was measured."""

from __future__ import annotations

import random
from typing import Any

from compress.core.operators import Operators, SavingLine, TimeLine
from compress.core.report import (
    Accuracy,
    Baselines,
    BudgetLine,
    CandidateLine,
    Component,
    Evidence,
    Figures,
    Gate,
    GroupBits,
    Latency,
    ModelFacts,
    Ratio,
    Report,
    Samples,
    Speedup,
    StepLine,
    TargetFacts,
)

_GATES = {
    "pass": (0.0026, 0.0041, "1%"),
    "fail": (0.0148, 0.0187, "1%"),
    "inconclusive": (0.0043, 0.0131, "1%"),
}


def report(
    verdict: str = "pass",
    *,
    ref: str = "sentence-transformers/all-MiniLM-L6-v2@c9745ed1d9f2",
    measured: bool = True,
    metric: str = "spearman",
) -> Report:
    drop, upper, limit = _GATES[verdict]
    speed = Ratio(value=2.284, low=2.217, high=2.341)
    return Report(
        model=ModelFacts(
            ref=ref, kind="encoder", task="feature-extraction", digest="53aa5117" * 8, parameters=22713216
        ),
        target=TargetFacts(profile="cpu" if measured else "raspberry-pi-5", host="Xeon", measured=measured),
        baselines=Baselines(
            torch=_figures(90868376, 12.913, 19.448, 82.31, 1.9127, 612345678),
            onnxruntime_fp32=_figures(90387630, 8.6214, 10.337, 88.97, 0.3141, 287654321),
        ),
        result=_figures(22912345, 3.9731, 5.2146, 203.21, 0.1187, 131415926),
        speedup=Speedup(vs_torch=Ratio(value=2.469, low=2.388, high=2.547), vs_onnxruntime_fp32=speed),
        accuracy=Accuracy(
            metric=metric,
            kind="task",
            items=1379,
            baseline=0.82032,
            result=0.82032 - drop,
            drop=drop,
            drop_upper_95=upper,
        ),
        gate=Gate(
            verdict=verdict,
            budgets=(
                BudgetLine(name="max_drop", limit=limit, value=drop, bound=upper, verdict=verdict),
                BudgetLine(name="min_speedup", limit="1.5x", value=2.284, bound=2.217, verdict="pass"),
                BudgetLine(name="max_size", limit="25MB", value=22912345.0, bound=22912345.0, verdict="pass"),
            ),
        ),
        steps=_steps(),
        operators=_operators() if measured else None,
    )


def _operators() -> Operators:
    types = [
        ("MatMul", 214.3, 0.0, 36, 0),
        ("DynamicQuantizeMatMul", 0.0, 61.27, 0, 18),
        ("MatMulIntegerToFloat", 0.0, 19.4, 0, 18),
        ("Attention", 30.8, 29.9, 6, 6),
        ("Gelu", 17.2, 16.8, 6, 6),
        ("SkipLayerNormalization", 6.14, 6.02, 12, 12),
        ("Gather", 1.911, 1.207, 3, 3),
        ("DynamicQuantizeLinear", 0.0, 1.143, 0, 6),
        ("Add", 0.318, 0.306, 2, 2),
        ("Cast", 0.0021, 0.0018, 1, 1),
        ("Where", 0.004, 0.004, 1, 1),
    ]
    parts = [
        ("ffn", 161.2, 67.1, 18, 18),
        ("attention", 101.3, 61.4, 24, 30),
        ("norm", 6.14, 6.02, 12, 12),
        ("embedding", 2.229, 1.513, 5, 5),
        ("other", 0.0061, 0.0058, 2, 2),
    ]
    sides = ("before", "after")
    lines = [
        tuple(
            TimeLine(name=n, before_ms=b, after_ms=a, before_count=c, after_count=d) for n, b, a, c, d in rows
        )
        for rows in (types, parts)
    ]
    return Operators(
        workload="throughput", batch=32, length=128, by_type=lines[0], by_component=lines[1], profiled=sides
    )


def _figures(size: int, p50: float, p95: float, rate: float, load: float, rss: int) -> Figures:
    return Figures(
        size_bytes=size,
        latency_ms=Latency(p50=p50, p95=p95),
        throughput_per_s=rate,
        load_s=load,
        peak_rss_bytes=rss,
    )


def _steps() -> tuple[StepLine, ...]:
    static = {"recipe": "static", "calibrate": "percentile", "percentile": 99.99, "migrate": 0.5}
    int8 = {"recipe": "int8", "weights": "int8", "per_channel": True, "embeddings": "int8"}
    return (
        _step("export.onnx", {"opset": 20}, 24.71, 90387630, 0.86114, "what every candidate starts from"),
        _step("quantize.dynamic", int8, 2.318, 22912345, 0.85871, "3.95x smaller, 2.28x faster than fp32"),
        _step(
            "quantize.dynamic",
            {"recipe": "int8-u8", "weights": "uint8"},
            2.204,
            22934567,
            0.85902,
            "slower than int8 on this host (1.21x): U8 weights do not reach the VNNI kernels",
            kept=False,
        ),
        _step("quantize.static", static, 31.92, 23012345, 0.85377, "loses 0.74 points", kept=False),
        _step(
            "quantize.blockwise",
            {"recipe": "int4", "bits": 4, "block_size": 32},
            3.512,
            14312345,
            0.86021,
            "smaller, but 0.52x the speed of ONNX Runtime fp32 at batch 1",
            kept=False,
        ),
    )


def _step(
    name: str,
    config: dict[str, Any],
    seconds: float,
    size: int,
    accuracy: float,
    why: str,
    *,
    kept: bool = True,
) -> StepLine:
    return StepLine(
        name=name,
        config=config,
        seconds=seconds,
        peak_rss_bytes=int(4e8 + size),
        size_bytes=size,
        accuracy=accuracy,
        kept=kept,
        why=why,
    )


def evidence() -> Evidence:
    return Evidence(
        created="2026-11-23T00:12:41Z",
        data={
            "source": "stsb-test.tsv",
            "columns": {"text": "sentence1", "text_pair": "sentence2", "label": "score"},
            "calibration_items": 512,
            "test_items": 1379,
            "licence": "CC BY-SA 4.0",
        },
        host={
            "cpu": "Intel Xeon Platinum 8488C",
            "cores": 2,
            "memory_gib": 7.71,
            "isa": ["avx2", "avx512f", "avx512_vnni", "amx_int8"],
            "os": "Linux 6.8",
        },
        versions={"compress": "0.1.0", "torch": "2.13.0", "onnxruntime": "1.32.0", "python": "3.11.2"},
        parity=[
            {"shape": [1, 8], "output": "last_hidden_state", "largest_difference": 9.54e-07},
            {"shape": [3, 17], "output": "last_hidden_state", "largest_difference": 1.311e-06},
            {"shape": [8, 128], "output": "last_hidden_state", "largest_difference": 1.907e-06},
        ],
        fused={"Attention": 6, "SkipLayerNormalization": 12, "BiasGelu": 6},
        operators={"DynamicQuantizeMatMul": 36, "Gather": 3, "SkipLayerNormalization": 12, "Gelu": 6},
        samples=_samples(),
        ratios={
            "torch": {
                "latency": Ratio(value=3.25, low=3.03, high=3.41),
                "throughput": Ratio(value=2.469, low=2.388, high=2.547),
            },
            "onnxruntime_fp32": {
                "latency": Ratio(value=2.17, low=2.01, high=2.28),
                "throughput": Ratio(value=2.284, low=2.217, high=2.341),
            },
        },
        components=_components(),
        candidates=_candidates(),
        noise=["load average 1.7 on 2 cores while measuring", "latency of PyTorch varied by 21% (two modes)"],
        savings=_savings(),
        notes=["OpenVINO was not tried: the extra is not installed"],
    )


def mixed() -> tuple[Report, Evidence]:
    """The decoder with bits by sensitivity."""
    plain, found = decoder()
    kinds = (("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",))
    kinds += (("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",))
    groups = []
    for block in range(12):
        for place, kind in enumerate(kinds):
            lost = 0.004 * (1 + place) / (1 + block)
            groups.append(
                GroupBits(
                    names=tuple(f"model.layers.{block}.{name}.weight" for name in kind),
                    elements=442368,
                    bits=8 if lost > 0.004 else 4,
                    divergence={4: lost, 8: lost / 300},
                )
            )
    return plain, found.model_copy(update={"sensitivity": tuple(groups)})


def _savings() -> tuple[SavingLine, ...]:
    rows = [
        ("prune.vocabulary", "half of 30,522 tokens", 5860224, 0.0),
        ("prune.layers", "1 of 6 blocks", 1774464, 0.161),
        ("prune.ffn", "a quarter of 1536 features at 6 places", 1771776, 0.149),
        ("prune.heads", "a quarter of 12 key-value heads at 6 places", 886464, 0.093),
    ]
    return tuple(
        SavingLine(
            step=step, removes=what, parameters=count, size_bytes=4 * count,
            share=count / 22713216, latency_share=time,
        )
        for step, what, count, time in rows
    )  # fmt: skip


def _samples() -> tuple[Samples, ...]:
    rng = random.Random(7)
    centres = {"torch": 12.9, "onnxruntime_fp32": 8.6, "result": 3.97}
    found = []
    for name, centre in centres.items():
        modes = [centre * (1.45 if name == "torch" and 30 < i < 42 else 1) for i in range(60)]
        fast = tuple(mode * rng.lognormvariate(0, 0.05) / 1e3 for mode in modes)
        slow = tuple(32 * mode * 0.93 * rng.lognormvariate(0, 0.02) / 1e3 for mode in modes[:20])
        found.append(Samples(contender=name, workload="latency", batch=1, length=128, seconds=fast))
        found.append(Samples(contender=name, workload="throughput", batch=32, length=128, seconds=slow))
    return tuple(found)


def _components() -> tuple[Component, ...]:
    rows = [
        ("embedding", "float32", 47677440, 239504),
        ("embedding", "int8", 0, 11721984),
        ("attention", "float32", 14178816, 0),
        ("attention", "int8", 0, 3566592),
        ("ffn", "float32", 28366848, 110592),
        ("ffn", "int8", 0, 7091712),
        ("other", "float32", 164526, 181961),
    ]
    return tuple(Component(name=n, dtype=d, before_bytes=b, after_bytes=a) for n, d, b, a in rows)


def _candidates() -> tuple[CandidateLine, ...]:
    rows = [
        ("fp32", 90387630, 0.0, 1.0, 1.0, False, "the baseline itself"),
        ("int8", 22912345, 0.0024, 2.17, 2.284, True, "smallest of those at the highest speed"),
        ("int8-reduce-range", 22912345, 0.0009, 2.14, 2.21, False, "no faster than int8, and no smaller"),
        ("int8-u8", 22934567, 0.0021, 1.03, 1.21, False, "slower: U8 weights do not reach the VNNI kernels"),
        ("int8-embedding4", 17123456, 0.0031, 2.12, 2.26, False, "smaller; loses 0.31 pt, int8 is as fast"),
        ("static", 23012345, 0.0131, 1.93, 2.02, False, "accuracy outside the budget: 1.31 pt lost"),
        ("int4", 14312345, 0.0011, 0.52, 1.18, False, "slower than ONNX Runtime fp32 at batch 1"),
    ]
    return tuple(
        CandidateLine(
            name=name,
            runtime="onnxruntime",
            size_bytes=size,
            drop=drop,
            vs_onnxruntime_fp32={"latency": _about(latency), "throughput": _about(speed)},
            kept=kept,
            why=why,
        )
        for name, size, drop, latency, speed, kept, why in rows
    )


def _about(value: float) -> Ratio:
    return Ratio(value=value, low=round(value * 0.96, 4), high=round(value * 1.03, 4))


def hostile(text: str) -> tuple[Report, Evidence]:
    """The example with `text` in every place that a model, a data set or a machine can name."""
    plain, found = report(ref=text), evidence()
    steps = tuple(
        step.model_copy(update={"name": text, "why": text, "config": {text: text, "recipe": text}})
        for step in plain.steps
    )
    poisoned = plain.model_copy(
        update={
            "model": plain.model.model_copy(update={"kind": text, "task": text, "digest": text}),
            "target": plain.target.model_copy(update={"profile": text, "host": text, "measured": False}),
            "accuracy": plain.accuracy and plain.accuracy.model_copy(update={"metric": text}),
            "gate": plain.gate.model_copy(
                update={
                    "budgets": tuple(
                        line.model_copy(update={"name": text, "limit": text}) for line in plain.gate.budgets
                    )
                }
            ),
            "steps": steps,
            "operators": _hostile_operators(text),
        }
    )
    facts = found.model_copy(
        update={
            "created": text,
            "data": {text: text, "source": text},
            "host": {text: [text, {text: text}]},
            "versions": {text: text},
            "parity": [{text: text}],
            "fused": {text: 1},
            "operators": {text: 1},
            "samples": tuple(
                one.model_copy(update={"contender": text, "workload": text}) for one in found.samples
            ),
            "ratios": {text: {text: Ratio(value=2.0, low=1.0, high=3.0)}},
            "components": tuple(
                one.model_copy(update={"name": text, "dtype": text}) for one in found.components
            ),
            "candidates": tuple(
                one.model_copy(update={"name": text, "runtime": text, "why": text})
                for one in found.candidates
            ),
            "noise": [text],
            "notes": [text],
            "savings": tuple(one.model_copy(update={"step": text, "removes": text}) for one in found.savings),
        }
    )
    return poisoned, facts


def _hostile_operators(text: str) -> Operators:
    found = _operators()
    by_type = tuple(line.model_copy(update={"name": text}) for line in found.by_type[:1])
    return found.model_copy(update={"workload": text, "by_type": by_type, "by_component": by_type})


def decoder() -> tuple[Report, Evidence]:
    """A decoder judged by perplexity: tokens a second, a drop that is a relative increase."""
    plain = report()
    tokens = {"prefill_tokens_per_s": 412.5, "decode_tokens_per_s": 15.1, "time_to_first_token_ms": 310.7}
    faster = {"prefill_tokens_per_s": 519.3, "decode_tokens_per_s": 163.4, "time_to_first_token_ms": 241.2}
    torch = Figures(size_bytes=538090408, **tokens)
    found = plain.model_copy(
        update={
            "baselines": Baselines(torch=torch, onnxruntime_fp32=None),
            "result": Figures(size_bytes=86512345, **faster),
            "speedup": Speedup(vs_torch=Ratio(value=10.82, low=10.3, high=11.2), vs_onnxruntime_fp32=None),
            "accuracy": Accuracy(
                metric="perplexity",
                kind="task",
                items=640,
                baseline=23.44,
                result=24.51,
                drop=0.0456,
                drop_upper_95=0.0492,
            ),
            "gate": Gate(
                verdict="pass",
                budgets=(
                    BudgetLine(name="max_drop", limit="1.05x", value=0.0456, bound=0.0492, verdict="pass"),
                ),
            ),
        }
    )
    return found, evidence().model_copy(update={"samples": (), "candidates": (), "ratios": {}})


def bare() -> tuple[Report, Evidence]:
    """The least that a report may hold: no baselines, accuracy, budgets, steps or evidence."""
    least = Report(
        model=ModelFacts(ref="x", kind="decoder", task="text-generation", digest="", parameters=0),
        target=TargetFacts(profile="cpu", host="", measured=True),
        baselines=Baselines(torch=None, onnxruntime_fp32=None),
        result=Figures(size_bytes=0),
        speedup=Speedup(vs_torch=None, vs_onnxruntime_fp32=None),
        accuracy=None,
        gate=Gate(verdict="pass", budgets=()),
        steps=(),
    )
    empty = Evidence(
        created="",
        data={},
        host={},
        versions={},
        parity=[],
        fused={},
        operators={},
        samples=(),
        ratios={},
        components=(),
        candidates=(),
        noise=[],
        notes=[],
    )
    return least, empty
