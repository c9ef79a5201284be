"""report.html: one file, without scripts and without anything from the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from compress.core.visible import visible
from compress.report import bytes_figures, cost, figures, reproduce, sensitivity, tables, time_figures
from compress.report import format as fmt
from compress.report.headline import headline, size_ratio
from compress.report.target import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.core.report import Evidence, Ratio, Report


@dataclass(frozen=True)
class Tile:
    """One of the large figures at the top: what it is, its value now and before, and the change."""

    label: str
    now: str
    before: str
    change: str
    bound: str = ""


def render_html(report: Report, evidence: Evidence) -> str:
    """The page. Every text from outside is escaped by the template engine."""
    return render_page("report.html.j2", _context(report, evidence))


def render_page(name: str, context: Mapping[str, object]) -> str:
    """Render a template, with control characters of strangers' words shown."""
    return visible(_environment().get_template(name).render(**context), keep="\n")


def _environment() -> Environment:
    """The templates, with escaping on and undefined names refused."""
    found = Environment(
        loader=PackageLoader("compress.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["clean"] = fmt.clean
    return found


def _context(report: Report, evidence: Evidence) -> dict[str, object]:
    return {
        "report": report,
        "evidence": evidence,
        "headline": headline(report),
        "tiles": tiles(report, evidence),
        "conditions": sentence(report.target),
        "parameters": f"{report.model.parameters:,}",
        "budgets": tables.budgets(report),
        "speed": figures.speedup_figure(report, evidence),
        "measured": figures.measured_figures(report),
        "measurements": tables.measurements(report),
        "accuracy": figures.accuracy_figure(report),
        "components": bytes_figures.component_figures(evidence),
        "sensitivity": sensitivity.sensitivity_figure(evidence),
        "times": time_figures.time_figures(report, evidence),
        "trades": bytes_figures.candidate_figures(report, evidence),
        "candidates": tables.candidates(report, evidence),
        "steps": tables.steps(report),
        "samples": figures.sample_figures(evidence.samples),
        "costs": cost.table(report, evidence),
        "thinking": cost.thinking(report),
        "parity": tables.free("Parity", evidence.parity),
        "facts": _facts(report, evidence),
        "command": reproduce.command(report, evidence),
        "recipe": reproduce.recipe(report, evidence),
    }


def _facts(report: Report, evidence: Evidence) -> list[tuple[str, list[tuple[str, str]]]]:
    """Lists of labelled facts: where the figures come from."""
    model = {
        **report.model.model_dump(),
        **report.target.model_dump(exclude_defaults=True, exclude={"estimate"}),
    }
    groups = (
        ("Model and target", model),
        ("Data", evidence.data),
        ("Host", evidence.host),
        ("Versions", evidence.versions),
        ("Fused operators, fp32 graph", evidence.fused),
        ("Operators, published graph", evidence.operators),
    )
    return [(title, fmt.facts(values)) for title, values in groups if values]


def tiles(report: Report, evidence: Evidence) -> list[Tile]:
    """Size, latency, throughput (of tokens for a decoder) and accuracy: before, after and the change."""
    found = [_size_tile(report), _latency_tile(report, evidence), _speed_tile(report), _accuracy_tile(report)]
    return [tile for tile in found if tile is not None]


def _baseline(report: Report, key: str) -> float | None:
    for known in (report.baselines.onnxruntime_fp32, report.baselines.torch):
        value = fmt.figure(known, key)
        if value is not None:
            return value
    return None


def _size_tile(report: Report) -> Tile:
    before, ratio = _baseline(report, "size_bytes"), size_ratio(report)
    change = f"{fmt.gain(ratio, 'larger')}{' smaller' if ratio >= 1 else ''}" if ratio else ""
    return Tile("Size", fmt.size(report.result.size_bytes), fmt.size(before), change)


def _latency_tile(report: Report, evidence: Evidence) -> Tile | None:
    if report.result.latency_ms is None:
        return None
    now, before = report.result.latency_ms.p50, _baseline(report, "latency_ms.p50")
    found = {
        baseline: r for workload, baseline, r in tables.ratios(report, evidence) if workload == "latency"
    }
    ratio = found.get("onnxruntime_fp32") or found.get("torch")
    label = tables.estimated("Latency, batch 1", report)
    return Tile(label, fmt.milliseconds(now), fmt.milliseconds(before), *_gain(ratio))


def _gain(ratio: Ratio | None) -> tuple[str, str]:
    """The change and its interval, empty where nothing was compared."""
    if ratio is None:
        return "", ""
    word = " as fast" if ratio.value >= 1 else ""
    return f"{fmt.gain(ratio.value)}{word}", f"95%: {fmt.gain(ratio.low)} to {fmt.gain(ratio.high)}"


def _speed_tile(report: Report) -> Tile | None:
    tokens = report.result.decode_tokens_per_s is not None
    key, name, unit = ("throughput_per_s", "Throughput", "/s")
    if tokens:
        key, name, unit = ("decode_tokens_per_s", "Decoding, tokens", "tok/s")
    now = fmt.figure(report.result, key)
    if now is None:
        return None
    ratio = report.speedup.vs_onnxruntime_fp32 or report.speedup.vs_torch
    label = tables.estimated(name, report)
    return Tile(label, fmt.rate(now, unit), fmt.rate(_baseline(report, key), unit), *_gain(ratio))


def _accuracy_tile(report: Report) -> Tile | None:
    found = report.accuracy
    if found is None:
        return None
    name = fmt.metric_name(found.metric)
    label = name[:1].upper() + name[1:] + (" (fidelity)" if found.kind == "fidelity" else "")
    change = f"loses {fmt.drop(found.drop, found.metric)}"
    if found.drop < 0:
        change = f"gains {fmt.drop(-found.drop, found.metric)}"
    bound = f"95%: at most {fmt.drop(found.drop_upper_95, found.metric)} lost"
    return Tile(label, fmt.score(found.result), fmt.score(found.baseline), change, bound)
