"""The command and the recipe that make the same artifact again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import yaml

from compress.report import format as fmt

if TYPE_CHECKING:
    from compress.core.report import Evidence, Report


def command(report: Report, evidence: Evidence) -> str:
    """The command line, with the recipe that was chosen in place of the search for it."""
    words = ["compress", "run", report.model.ref, "--target", report.target.profile]
    words += ["--recipe", "recipe.yaml"]
    words += _data(evidence)
    for line in report.gate.budgets:
        words += [f"--{line.name.replace('_', '-')}", line.limit]
    return " ".join(shlex.quote(fmt.clean(word)) for word in words)


def _data(evidence: Evidence) -> list[str]:
    """The flags that name the data; none for the sample that ships with the package."""
    source, columns = str(evidence.data.get("source") or ""), evidence.data.get("columns")
    calibration = [f"--calibration={name}" for name in evidence.data.get("calibration") or ()]
    if not source or source.startswith("shipped "):
        return calibration
    named = columns.items() if isinstance(columns, dict) else ()
    renamed = [f"--column={name}={column}" for name, column in named if name != column]
    return ["--data", source, *renamed, *_label_map(evidence), *calibration]


def _label_map(evidence: Evidence) -> list[str]:
    """The user's own mapping of labels, where there was one."""
    mapped = evidence.data.get("label_map")
    if evidence.data.get("label_map_basis") != "by --label-map" or not isinstance(mapped, dict):
        return []
    return [f"--label-map={','.join(f'{label}={number}' for label, number in mapped.items())}"]


def recipe(report: Report, evidence: Evidence) -> str:
    """`recipe.yaml`: the steps that were kept, and what runs their result."""
    kept = [line for line in report.steps if line.kept]
    if sum(line.name == "export.onnx" for line in kept) > 1:
        kept = kept[1:]  # the baseline's, whose graph the steps did not start from
    steps = [{line.name: {key: v for key, v in line.config.items() if key != "recipe"}} for line in kept]
    runtime = next((line.runtime for line in evidence.candidates if line.kept), "onnxruntime")
    values = {"steps": steps} if runtime == "onnxruntime" else {"runtime": runtime, "steps": steps}
    text: str = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)
    return text
