"""Accuracy of artifacts on the splits of the user's data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.report import Accuracy
from compress.data.items import load_items
from compress.data.split import split
from compress.graph.session import open_runner
from compress.measure.evaluate import choose_metric, evaluate
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Progress
    from compress.data.items import Items
    from compress.measure.evaluate import Metric
    from compress.pipeline.plan import Plan
    from compress.runtime.preprocess import Preprocessor

_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The user's data in two disjoint parts. Candidates are made and chosen with the first; the second
    is looked at once, for what the report says and the gate decides."""

    items: Items
    calibration: Items
    test: Items
    metric: Metric

    def calibration_rows(self, task: str) -> list[dict[str, Any]]:
        """Rows that steps calibrate on. Encoders of pairs see each text by itself."""
        rows = [dict(row) for row in self.calibration.rows]
        if task != "feature-extraction":
            return rows
        seconds = [{"text": row.pop("text_pair")} for row in rows if "text_pair" in row]
        return rows + seconds


def prepare_items(plan: Plan, *, note: Callable[[str], None]) -> Splits:
    """Read the data, say which columns were taken, and split it.

    Raises:
        CompressError: the data is missing, empty or does not fit the task; the metric is unknown.
    """
    values = plan.settings.values
    items = load_items(
        values.data,
        task=plan.model.task,
        modality=_MODALITY[plan.model.kind],
        columns=_columns(values.column),
        labels=plan.model.config.get("label2id"),
        offline=values.offline,
        limit=values.limit,
    )
    metric = choose_metric(plan.model.task, labelled=items.labelled, name=values.metric)
    calibration, test = split(items, seed=values.seed)
    named = ", ".join(f"{name} = {column}" for name, column in items.columns.items())
    note(f"data: {items.source} ({named}), {len(calibration.rows)} + {len(test.rows)} items, {metric.name}")
    return Splits(items=items, calibration=calibration, test=test, metric=metric)


def _columns(given: Sequence[str]) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in given)


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> str:
    """Write rows as JSON lines and return their digest."""
    text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
    path.write_text(text, encoding="utf8")
    return hashlib.sha256(text.encode()).hexdigest()
