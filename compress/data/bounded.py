"""No more data than a step has time for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from compress.core.artifact import Feeds


def within(feeds: Sequence[Feeds], tokens: int) -> Iterator[Feeds]:
    """The first rows of batches of texts, with at most so many tokens (but one row at least); whatever is no
    text is as it was.
    """
    for batch in feeds:
        mask = batch.get("attention_mask")
        if mask is None:
            yield batch
            continue
        rows = int((mask.sum(axis=1).cumsum() <= tokens).sum()) or int(tokens > 0)
        if not rows:
            return
        yield {name: array[:rows] for name, array in batch.items()}
        tokens = tokens - int(mask[:rows].sum()) if rows == len(mask) else 0


def in_parts(feeds: Iterable[Feeds], positions: int) -> Iterator[Feeds]:
    """Batches of texts cut in some of so many positions at most, padding among them (but one row at least),
    since a language model's logits take its vocabulary of floats at each; whatever is no text is as it was.
    """
    for batch in feeds:
        mask = batch.get("attention_mask")
        rows = len(next(iter(batch.values())))
        size = rows if mask is None else max(1, positions // mask.shape[1])
        for start in range(0, rows, size):
            yield {name: array[start : start + size] for name, array in batch.items()}
