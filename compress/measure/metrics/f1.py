"""F1 of a classifier: of class 1 where there are two classes, else the plain mean over classes (macro)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.metrics.accuracy import CLASSIFICATION, decided, lift
from compress.measure.prepare import whole
from compress.stats.f_score import average, f1

if TYPE_CHECKING:
    from compress.measure.metric import Records
    from compress.stats.estimate import Estimate


def macro(records: Records) -> Estimate:
    """The mean over the classes that occur among the labels (one without items has no recall)."""
    return average([_of_class(records, number) for number in np.unique(records["label"])])


def _of_class(records: Records, number: int) -> Estimate:
    actual, predicted = records["label"] == number, records["predicted"] == number
    return f1((actual & predicted).astype(np.int64), predicted.astype(np.int64), actual.astype(np.int64))


def _usual(records: Records) -> Estimate:
    return _of_class(records, 1) if records["classes"][0] == 2 else macro(records)


def compare(reference: Records, result: Records) -> Comparison:
    """By influences; one changed item costs about what one item in n does."""
    return comparison(_usual(reference), _usual(result), unit=1.0)


METRIC = Metric(
    name="f1",
    kind="task",
    tasks=CLASSIFICATION,
    needs_labels=True,
    prepare=whole,
    observe=decided,
    compare=compare,
    lift=lift,
)
