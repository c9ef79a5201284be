"""F1 of the words that an extracted answer shares with the right one, as SQuAD scores it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from compress.measure.answers import extracted, normalized, right_answers
from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import windowed
from compress.stats.chance import Lift
from compress.stats.estimate import Estimate
from compress.stats.sums import mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """`f1` (n,): the best over the right answers of each item; `silent` and `unanswerable` (n,): 1 where
    nothing is said, and where there is nothing to say.
    """
    del reference
    right = [right_answers(row) for row in batch.rows]
    said = extracted(outputs, batch)
    both = zip(said, right, strict=True)
    return {
        "f1": np.array([max(overlap(one, answer) for answer in answers) for one, answers in both]),
        **silence(said, right),
    }


def silence(said: Sequence[str], right: Sequence[Sequence[str]]) -> Records:
    """Record `silent` and `unanswerable` (n,) of answers and the right ones."""
    return {
        "silent": np.array([int(not normalized(one)) for one in said]),
        "unanswerable": np.array([int(answers == [""]) for answers in right]),
    }


def lift_over_silence(scores: np.ndarray, records: Records) -> Lift:
    """Compare scores (n,) with those of saying nothing as often as the model does, but anywhere."""
    silent, unanswerable = (records[name].astype(np.float64) for name in ("silent", "unanswerable"))
    chance = float(silent.mean() * unanswerable.mean())
    score = mean(scores)
    moved = silent * unanswerable.mean() + unanswerable * silent.mean() - 2 * chance
    return Lift(score.value, chance, Estimate(score.value - chance, score.influence - moved))


def lift(records: Records) -> Lift:
    """Compare F1 with that of silence."""
    return lift_over_silence(records["f1"], records)


def overlap(said: str, right: str) -> float:
    """F1 of the words of two answers; 1 if both are empty, 0 if one is (Rajpurkar et al. 2018)."""
    first, second = normalized(said).split(), normalized(right).split()
    if not first or not second:
        return float(first == second)
    return 2 * (Counter(first) & Counter(second)).total() / (len(first) + len(second))


def compare(reference: Records, result: Records) -> Comparison:
    """By influences; one item may lose all."""
    return comparison(mean(reference["f1"]), mean(result["f1"]), unit=1.0)


METRIC = Metric(
    name="answer_f1",
    kind="task",
    tasks=frozenset({"question-answering"}),
    default_for=frozenset({"question-answering"}),
    needs_labels=True,
    aliases=("f1", "token_f1"),
    prepare=windowed,
    observe=observe,
    compare=compare,
    lift=lift,
)
