"""Accuracy of graphs on rows of data, all of them in lockstep with the reference.

Each batch runs through every graph and is reduced to a few numbers an item at once, so that logits over
a large vocabulary are never kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.artifact import Silent
from compress.core.errors import CompressError
from compress.measure.catalogue import choose_metric
from compress.measure.metric import Metric, Scores, Tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Progress
    from compress.graph.session import Runner
    from compress.measure.metric import Arrays, Batch, Records
    from compress.runtime.preprocess import Preprocessor, Row

__all__ = ["Metric", "Scores", "choose_metric", "evaluate"]

WIDE_BATCH = 2
"""Inputs at once where outputs are as wide as a vocabulary."""
MOST_INPUTS = 32
"""Inputs at once at most: a row may be several, if it is long."""


def evaluate(
    metric: Metric,
    reference: Runner,
    others: Mapping[str, Runner],
    *,
    folder: Path,
    task: str,
    preprocess: Preprocessor,
    rows: Sequence[Row],
    batch_size: int = 16,
    own: Mapping[str, Tools] | None = None,
    progress: Progress | None = None,
    title: str = "accuracy",
) -> dict[str, Scores]:
    """What each of `others` reaches on `rows`, compared with `reference`, by their names.

    `folder` holds the model's config.json and what lies beside it (pooling, vocabulary), `preprocess` is
    its `load_preprocessor`. `own` are those of the contenders whose tokenizer is another: rows are
    prepared for each of them by itself.

    Raises:
        CompressError: the reference gives values that are no numbers, or nothing is left to judge; or
            the metric compares token by token, and a contender has other tokens.
    """
    tools = Tools(folder=folder, task=task, preprocess=preprocess)
    field = Field(metric, reference, others, tools=tools, own=own or {})
    parts: list[list[Records]] = [[] for _ in range(1 + len(others))]
    with (progress or Silent()).track(title, len(rows)) as advance:
        for part in _parts(rows, batch_rows(metric, preprocess, wanted=batch_size)):
            for observed in field.observe(part):
                for kept, records in zip(parts, observed, strict=True):
                    kept.append(records)
            advance(len(part))
    first, *rest = [joined(one) for one in parts]
    _refuse_nothing(first)
    return {name: _scores(metric, first, records) for name, records in zip(others, rest, strict=True)}


def batch_rows(metric: Metric, *preprocessors: Preprocessor, wanted: int = 16) -> int:
    """Rows at once that all these preprocessors can share a batch of, and whose outputs fit."""
    if not all(one.mixed_lengths for one in preprocessors):
        return 1
    texts = preprocessors[0].modality == "text"
    return min(wanted, WIDE_BATCH) if metric.wide and texts else wanted


def _parts(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Batches of rows of like length, so that little is padded."""
    ordered = sorted(rows, key=_length)
    for start in range(0, len(rows), size):
        yield list(ordered[start : start + size])


def _length(row: Row) -> int:
    return sum(len(str(value)) for name, value in row.items() if name not in ("image", "audio"))


@dataclass(frozen=True)
class Field:
    """All contenders, the reference first, each with what prepares rows for it."""

    metric: Metric
    reference: Runner
    others: Mapping[str, Runner]
    tools: Tools
    own: Mapping[str, Tools]

    def observe(self, rows: Sequence[Row]) -> Iterator[list[Records]]:
        """The records of each contender on rows, in one go or in several."""
        batch = self.metric.prepare(rows, self.tools)
        if not self.own:
            runners = [self.reference, *self.others.values()]
            for piece in batches_of(batch):
                yield list(_observe(self.metric, runners, piece))
        elif batch.scored is None:
            yield list(self._apart(batch))
        elif len(batch.scored):
            yield list(self._by_text(batch))

    def _batch_of(self, name: str, batch: Batch) -> Batch:
        """The reference's batch of rows, or the contender's own."""
        if name not in self.own:
            return batch
        return replace(self.metric.prepare(batch.rows, self.own[name]), original=batch)

    def _apart(self, batch: Batch) -> Iterator[Records]:
        """Of items that do not depend on the tokens: texts and their words."""
        original = finite(run_batch(self.reference, batch), whole=True)
        yield self.metric.observe(original, original, batch)
        for name, runner in self.others.items():
            own = self._batch_of(name, batch)
            yield self.metric.observe(finite(run_batch(runner, own)), original, own)

    def _by_text(self, batch: Batch) -> Iterator[Records]:
        """Of language models, whose items are windows: each text's are summed, since another tokenizer
        makes other windows of it.

        Raises:
            CompressError: the metric needs both models' outputs for the same tokens.
        """
        if not self.metric.sums_by_text:
            message = f"'{self.metric.name}' compares token by token, and a candidate has other tokens"
            raise CompressError("metric-vocabulary", message, hint="use the metric perplexity")
        for name, runner in {"": self.reference, **self.others}.items():
            own = self._batch_of(name, batch)
            parts = []
            for piece in batches_of(own):
                outputs = finite(run_batch(runner, piece), whole=not name)
                parts.append(self.metric.observe(outputs, outputs, piece))
            yield _summed(joined(parts), own)


def _summed(records: Records, batch: Batch) -> Records:
    """Numbers about windows as numbers about the rows that they were made from."""
    rows = len(batch.rows)
    return {name: np.bincount(batch.owners, array, minlength=rows) for name, array in records.items()}


def batches_of(batch: Batch) -> Iterator[Batch]:
    """A batch as it is; of language models, whose items are windows, few windows at once (or none,
    where no row has anything to judge).
    """
    if batch.scored is None or batch.targets is None:
        yield batch
        return
    for start in range(0, len(batch.scored), WIDE_BATCH):
        part = slice(start, start + WIDE_BATCH)
        feeds = {name: array[part] for name, array in batch.feeds.items()}
        scored, targets, owners = batch.scored[part], batch.targets[part], batch.owners[part]
        yield replace(batch, feeds=feeds, scored=scored, targets=targets, owners=owners)


def _observe(metric: Metric, contenders: Sequence[Runner], batch: Batch) -> Iterator[Records]:
    """The records of each contender."""
    original = finite(run_batch(contenders[0], batch), whole=True)
    yield metric.observe(original, original, batch)
    for runner in contenders[1:]:
        yield metric.observe(finite(run_batch(runner, batch)), original, batch)


def run_batch(runner: Runner, batch: Batch) -> dict[str, np.ndarray]:
    """The outputs of one batch; a graph whose first axis is fixed gets it in pieces of that size."""
    inputs = len(next(iter(batch.feeds.values())))
    size = runner.inputs[0].shape[0] or min(inputs, MOST_INPUTS)
    if size == inputs:
        return runner.run(batch.feeds)
    pieces = []
    for start in range(0, inputs, size):
        rows = np.minimum(np.arange(start, start + size), inputs - 1)
        pieces.append(runner.run({name: array[rows] for name, array in batch.feeds.items()}))
    return {name: np.concatenate([piece[name] for piece in pieces])[:inputs] for name in pieces[0]}


def finite(outputs: Arrays, *, whole: bool = False) -> dict[str, np.ndarray]:
    """Outputs in which what is no number is 0: a contender that says nothing is judged as such.

    Raises:
        CompressError: there is such a value, and `whole` is asked for.
    """
    broken = [name for name, array in outputs.items() if np.isnan(array).any()]
    if broken and whole:
        message = f"the fp32 graph's output '{broken[0]}' holds values that are no numbers"
        raise CompressError("output-not-finite", message, hint="check the model's weights")
    return {name: np.nan_to_num(array) if name in broken else array for name, array in outputs.items()}


def joined(records: Sequence[Records]) -> Records:
    """The records of several batches as one."""
    return {name: np.concatenate([one[name] for one in records]) for name in records[0]} if records else {}


def _refuse_nothing(records: Records) -> None:
    if not records or not len(next(iter(records.values()))):
        message = "no row has anything to judge: all texts are empty or of a single token"
        raise CompressError("data-empty", message, hint="check the data's columns")


def _scores(metric: Metric, reference: Records, records: Records) -> Scores:
    found = metric.compare(reference, records)
    values: dict[str, Any] = found._asdict()
    bound = values.pop("bound")
    return Scores(
        metric=metric.name,
        kind=metric.kind,
        items=len(next(iter(records.values()))),
        drop_upper_95=bound,
        records=records,
        **values,
    )
