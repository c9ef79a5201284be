"""F1 of a classifier as the plain mean over classes, also where there are two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.metrics.accuracy import CLASSIFICATION, decided, lift
from compress.measure.metrics.f1 import macro
from compress.measure.prepare import whole

if TYPE_CHECKING:
    from compress.measure.metric import Records


def compare(reference: Records, result: Records) -> Comparison:
    """By influences."""
    return comparison(macro(reference), macro(result), unit=1.0)


METRIC = Metric(
    name="f1_macro",
    kind="task",
    tasks=CLASSIFICATION,
    needs_labels=True,
    prepare=whole,
    observe=decided,
    compare=compare,
    lift=lift,
)
