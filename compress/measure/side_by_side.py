"""What models of different makes answer on the same rows: each with a tokenizer or processor of its own.

`evaluate` gives the same arrays to all models, which are forms of one original. Here they may be
different models: their records are paired by row alone, and outputs are only compared number by number
where the inputs are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.measure.evaluate import (
    batch_rows,
    batches_of,
    finite,
    joined,
    run_batch,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.artifact import Advance
    from compress.graph.session import Runner
    from compress.measure.metric import Arrays, Batch, Metric, Records, Tools
    from compress.runtime.preprocess import Row


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A model, what lies beside it, and the rows with labels as its own classes number them."""

    name: str
    runner: Runner
    tools: Tools
    rows: Sequence[Row]


def records_of(metric: Metric, one: Judged, *, reference: Judged, advance: Advance) -> Records:
    """The records of one model, rows in an order that is the same for every model.

    Raises:
        CompressError: the metric compares outputs number by number and `one` does not get the same inputs
            as the reference (`inputs-differ`), or nothing is left to judge.
    """
    parts = []
    size = batch_rows(metric, one.tools.preprocess, reference.tools.preprocess)
    for part in _order(reference.rows, size):
        own = metric.prepare([one.rows[index] for index in part], one.tools)
        if metric.needs_same_inputs:
            other = metric.prepare([reference.rows[index] for index in part], reference.tools)
            _refuse_other_inputs(own, other, one.name, reference.name)
        parts += [_observed(metric, one, reference, batch) for batch in batches_of(own)]
        advance(len(part))
    return joined(parts)


def _order(rows: Sequence[Row], size: int) -> list[list[int]]:
    """Numbers of rows in batches of like length, by the reference's rows: labels, whose numbers
    differ between models, must not decide it.
    """
    given = ("text", "text_pair", "question", "context", "tokens")
    lengths = [sum(len(str(row[name])) for name in given if name in row) for row in rows]
    ordered = sorted(range(len(rows)), key=lengths.__getitem__)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _observed(metric: Metric, one: Judged, reference: Judged, batch: Batch) -> Records:
    outputs = finite(run_batch(one.runner, batch))
    original: Arrays = outputs
    if metric.needs_same_inputs and one is not reference:
        original = finite(run_batch(reference.runner, batch), whole=True)
    return metric.observe(outputs, original, batch)


def _refuse_other_inputs(own: Batch, other: Batch, name: str, reference: str) -> None:
    shared = set(own.feeds) & set(other.feeds)
    same = shared and all(np.array_equal(own.feeds[key], other.feeds[key]) for key in shared)
    if not same:
        message = f"'{name}' reads its inputs otherwise than '{reference}'"
        hint = "compare different models on data with answers: --data FILE with labels"
        raise CompressError("inputs-differ", message, hint=hint)
