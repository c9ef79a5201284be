"""Fidelity of decisions: the share of its expected accuracy that a model keeps, by its own probabilities.

The original's probability of the class that the compressed model chooses, over that of the class that
the original itself chooses. If the original's probabilities are right, this is the ratio of both
models' accuracies, so a budget of 1% means what it means with labels. Agreement does not: good 8-bit
models change 1% to 3% of decisions, nearly all of them coin tosses that are as often for the better.
(A sentiment classifier in int8: agreement .975, expected accuracy .997, accuracy -.6%; with noise that
costs 2.8% of the accuracy: .906 and .976; with 7.2%: .848 and .942.)

Of taggers and transcribers, only decisions count for which either model sees something, since nearly
everything else is background and would hide any loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.decisions import both, log_probabilities, summed
from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.metrics.accuracy import CLASSIFICATION
from compress.measure.metrics.label_f1 import MULTI_LABEL
from compress.measure.prepare import by_task
from compress.stats.estimate import Estimate
from compress.stats.sums import ratio_of_sums

if TYPE_CHECKING:
    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Per item (n,) sums over its `decisions` of the original's probability of what is chosen (`kept`)
    and of what it would choose (`best`), and of how far that is ahead of the next (`margin`).
    """
    own, original = both(outputs, reference, batch)
    chosen, first = own.logits.argmax(axis=-1), original.logits.argmax(axis=-1)
    counted = np.ones(len(first)) if own.background is None else _foreground(chosen, first, own.background)
    kept, best, second = (np.zeros(len(first)) for _ in range(3))
    for rows, logs in log_probabilities(original.logits):
        kept[rows] = np.exp(np.take_along_axis(logs, chosen[rows, None], axis=-1))[:, 0]
        top = np.partition(logs, -2, axis=-1)[:, -2:]
        second[rows], best[rows] = np.exp(top).T
    count = len(batch.rows)
    values = {"kept": kept, "best": best, "margin": best - second, "decisions": np.ones(len(first))}
    return {name: summed(array * counted, own.items, count) for name, array in values.items()}


def _foreground(chosen: np.ndarray, first: np.ndarray, background: int) -> np.ndarray:
    return np.asarray((chosen != background) | (first != background), np.float64)


def compare(reference: Records, result: Records) -> Comparison:
    """By influences; an item may lose at least one decision that is ahead by the average margin."""
    del reference
    original = Estimate(1.0, np.zeros(len(result["best"])))
    if not result["best"].any():  # neither model sees anything anywhere
        return comparison(original, original, unit=1.0)
    unit = float(result["margin"].sum() / result["best"].sum() / max(result["decisions"].mean(), 1.0))
    return comparison(original, ratio_of_sums(result["kept"], result["best"]), unit=unit)


TASKS = CLASSIFICATION | {
    MULTI_LABEL,
    "token-classification",
    "question-answering",
    "automatic-speech-recognition",
}

METRIC = Metric(
    name="expected_accuracy",
    kind="fidelity",
    tasks=TASKS,
    default_for=TASKS,
    prepare=by_task,
    observe=observe,
    compare=compare,
)
