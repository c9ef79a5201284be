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
    source = evidence.data.get("source")
    if source:
        words += ["--data", str(source)]
    for line in report.gate.budgets:
        words += [f"--{line.name.replace('_', '-')}", line.limit]
    return " ".join(shlex.quote(fmt.clean(word)) for word in words)


def recipe(report: Report) -> str:
    """`recipe.yaml`: the steps that were kept."""
    kept = [line for line in report.steps if line.kept]
    steps = [{line.name: {key: v for key, v in line.config.items() if key != "recipe"}} for line in kept]
    text: str = yaml.safe_dump({"steps": steps}, sort_keys=False, default_flow_style=None, width=100)
    return text
