"""Word error rate: substituted, deleted and inserted words over the words that were said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.measure.metric import Comparison, Metric
from compress.measure.prepare import whole
from compress.runtime.embed import frame_mask
from compress.runtime.outputs import logits_of
from compress.stats.chance import Lift
from compress.stats.estimate import Estimate, upper_bound
from compress.stats.sums import ratio_of_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.measure.metric import Arrays, Batch, Records


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Per item (n,) the `errors` in the best path's transcript, and the `words` of the right one."""
    del reference
    logits = logits_of(outputs)
    frames = frame_mask(batch.feeds, logits.shape).sum(axis=1)
    said = [batch.tools.ctc.decode(item[:count]) for item, count in zip(logits, frames, strict=True)]
    right = [words(str(row["transcript"])) for row in batch.rows]
    errors = [edits(words(one), other) for one, other in zip(said, right, strict=True)]
    return {"errors": np.array(errors), "words": np.array([len(one) for one in right])}


def words(text: str) -> list[str]:
    """The words of a transcript without case and punctuation, which models write or do not write;
    apostrophes stay, as they are heard.
    """
    plain = text.casefold().replace("\u2019", "'")
    return "".join(sign if sign.isalnum() or sign == "'" else " " for sign in plain).split()


def edits(said: Sequence[str], right: Sequence[str]) -> int:
    """The least number of substitutions, deletions and insertions (Levenshtein 1966)."""
    row = list(range(len(right) + 1))
    for count, word in enumerate(said, start=1):
        above, row = row, [count]
        for at, other in enumerate(right):
            row.append(min(above[at] + (word != other), above[at + 1] + 1, row[at] + 1))
    return row[-1]


def compare(reference: Records, result: Records) -> Comparison:
    """By influences of the utterances; one that changes may cost two words at least."""
    spoken = result["words"]
    before, after = (ratio_of_sums(one["errors"], spoken).value for one in (reference, result))
    more = ratio_of_sums(result["errors"] - reference["errors"], spoken)
    bound = upper_bound(np.array(more.value), more.influence, unit=2 / float(spoken.mean()))
    return Comparison(before, after, more.value, float(bound))


def lift(records: Records) -> Lift:
    """Count the words that are right; chance finds none of them."""
    errors = ratio_of_sums(records["errors"], records["words"])
    return Lift(errors.value, 1.0, Estimate(1 - errors.value, -errors.influence))


METRIC = Metric(
    name="wer",
    kind="task",
    tasks=frozenset({"automatic-speech-recognition"}),
    default_for=frozenset({"automatic-speech-recognition"}),
    needs_labels=True,
    prepare=whole,
    observe=observe,
    compare=compare,
    lift=lift,
)
