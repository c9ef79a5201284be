"""Parts of the data that share nothing: to calibrate or learn on, to choose on, and to report on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from compress.data.items import Items

MAX_CALIBRATION = 256


def calibration_size(items: int) -> int:
    """How many of `items` items calibrate by default: a quarter, at most 256, at least one."""
    return max(1, min(items // 4, MAX_CALIBRATION))


def split(items: Items, *, calibration: int | None = None, seed: int = 0) -> tuple[Items, Items]:
    """Part `items` in (calibration, test), each in the original order.

    `calibration` items calibrate (None: `calibration_size` of them), the others test. Duplicates stay
    on one side, so the calibration part may be smaller than asked for by less than the size of one
    group of duplicates. Classes keep their shares. The same items in any order give the same parts.

    Raises:
        CompressError: there are fewer than two different items.
    """
    groups = _duplicates(items)
    if len(groups) < 2:
        message = f"{items.source} has {len(groups)} item(s) that differ, at least 2 are needed"
        raise CompressError("data-too-small", message, hint="one part calibrates, the other tests")
    calibration = calibration_size(len(items)) if calibration is None else calibration
    chosen: set[int] = set()
    for key in _order(items, groups, seed)[:-1]:
        if not chosen or len(chosen) + len(groups[key]) <= calibration:
            chosen.update(groups[key])
    rest = [index for index in range(len(items)) if index not in chosen]
    return items.take(sorted(chosen)), items.take(rest)


def split_in_three(items: Items, *, learn: int, choice: int, seed: int = 0) -> tuple[Items, Items, Items]:
    """Split `items` into parts to learn from, to choose on and to test on, as `split` does.

    Args:
        items: The rows.
        learn: Items that candidates learn from; 0: those to choose on are returned for both.
        choice: Items that candidates are compared on.
        seed: Shuffles the order.

    Returns:
        The three parts; the test part holds what the others leave.

    Raises:
        CompressError: there are fewer than two different items.
    """
    first, test = split(items, calibration=learn + choice, seed=seed)
    if not learn or len(set(first.keys)) < 2:
        return first, first, test
    chosen, learned = split(first, calibration=choice, seed=seed)
    return learned, chosen, test


def _duplicates(items: Items) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(items.keys):
        groups[key].append(index)
    return dict(groups)


def _order(items: Items, groups: dict[str, list[int]], seed: int) -> list[str]:
    """All groups so that every beginning of the list holds each class in its share.

    A class's groups are shuffled by a hash and spread evenly over [0, 1); sorting by that place
    interleaves the classes.
    """
    strata: dict[object, list[str]] = defaultdict(list)
    for key, indices in groups.items():
        label = items.rows[indices[0]].get("label")
        strata[label if isinstance(label, int) else None].append(key)
    places = {}
    for keys in strata.values():
        shuffled = sorted(keys, key=lambda key: _hash(seed, key))
        for rank, key in enumerate(shuffled):
            places[key] = ((rank + 0.5) / len(shuffled), _hash(seed, key))
    return sorted(groups, key=lambda key: places[key])


def _hash(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed}\0{key}".encode()).hexdigest()
