"""F1 over entities: one counts if its words and its type are both right (Tjong Kim Sang 2003)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from compress.data.labels import IGNORED
from compress.measure.metric import Comparison, Metric, comparison
from compress.measure.prepare import windowed
from compress.runtime.outputs import logits_of
from compress.runtime.tokens import tags_of_words
from compress.stats.chance import Lift
from compress.stats.estimate import Estimate
from compress.stats.f_score import f1

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.measure.metric import Arrays, Batch, Records

    Entity = tuple[str, int, int]


def observe(outputs: Arrays, reference: Arrays, batch: Batch) -> Records:
    """Per item (n,) how many entities are predicted, are there (`actual`), and are both (`hits`), and how
    many would be both if those predicted were anywhere (`by_chance`).
    """
    del reference
    names = batch.tools.names
    logits = batch.tools.text.unpadded(logits_of(outputs), batch.encodings)
    counts = []
    for row, group in zip(batch.rows, batch.windows(), strict=True):
        windows = [(batch.encodings[number], logits[number]) for number in group]
        found = tags_of_words(windows, batch.tools.text.overlap)
        kept = [word for word, tag in enumerate(row["tags"]) if tag != IGNORED]
        said = entities([names.get(found.get(word, -1), "O") for word in kept])
        there = entities([names.get(row["tags"][word], str(row["tags"][word])) for word in kept])
        counts.append((len(said & there), len(said), len(there), _by_chance(said, there, len(kept))))
    hits, predicted, actual, by_chance = np.array(counts, np.float64).reshape(-1, 4).T
    return {"hits": hits, "predicted": predicted, "actual": actual, "by_chance": by_chance}


def _by_chance(said: set[Entity], there: set[Entity], words: int) -> float:
    """Count entities of one item that match by type and length, over the places where they could begin."""
    first, second = (Counter((kind, end - start) for kind, start, end in one) for one in (said, there))
    places = {shape: max(words - shape[1] + 1, 1) for shape in first}
    return float(sum(count * second[shape] / places[shape] for shape, count in first.items()))


def lift(records: Records) -> Lift:
    """Compare F1 with that of as many entities of the same types and lengths anywhere."""
    found, chance = (
        f1(records[name], records["predicted"], records["actual"]) for name in ("hits", "by_chance")
    )
    above = Estimate(found.value - chance.value, found.influence - chance.influence)
    return Lift(found.value, chance.value, above)


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of one item as (type, first word, last word + 1), as conlleval reads them.

    A word begins one if its tag says so (`B-`, `S-`, `U-`), if its type differs from that of the word
    before, or if the word before was the last of its own (`E-`, `L-`, `S-`, `U-`). Tags without such a
    prefix (parts of speech) are entities of one word.
    """
    parts = [_split(tag) for tag in tags]
    starts = [at for at in range(len(parts)) if _begins(parts[at], parts[at - 1] if at else ("", "O"))]
    runs = pairwise([*starts, len(parts)])
    return {(parts[first][1], first, last) for first, last in runs if parts[first][1] != "O"}


def _split(tag: str) -> tuple[str, str]:
    prefix, dash, kind = tag.partition("-")
    if dash and prefix in ("B", "I", "E", "S", "L", "U"):
        return prefix, kind
    return ("", "O") if tag == "O" else ("S", tag)


def _begins(word: tuple[str, str], before: tuple[str, str]) -> bool:
    return word[0] in ("B", "S", "U") or word[1] != before[1] or before[0] in ("E", "L", "S", "U")


def compare(reference: Records, result: Records) -> Comparison:
    """By influences of the items; one changed entity is the least that one may cost."""
    before, after = (f1(one["hits"], one["predicted"], one["actual"]) for one in (reference, result))
    entities_an_item = float(result["actual"].mean())
    return comparison(before, after, unit=1 / max(entities_an_item, 1.0))


METRIC = Metric(
    name="entity_f1",
    kind="task",
    tasks=frozenset({"token-classification"}),
    default_for=frozenset({"token-classification"}),
    needs_labels=True,
    aliases=("f1", "token_f1"),
    prepare=windowed,
    observe=observe,
    compare=compare,
    lift=lift,
)
