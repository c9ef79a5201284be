"""FIXTURE: damaged documents for fuzz tests: keys dropped, values replaced by others, everything nested."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

VALUES: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, -(2**70), 10**30, 0.5, -1e300, float("nan"), float("inf"),
    "", "x", "../x", "/etc/passwd", "a\0b", "\x1b[2J", "\ud800", "x" * 5000,
    [], [-1], [[]], ["x"], {}, {"": None}, {"content": 5}, {"0": []},
]  # fmt: skip


def places(document: Any) -> list[tuple[Any, ...]]:
    """The paths of all values in a document, the document itself among them."""
    found: list[tuple[Any, ...]] = [()]
    items = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in items:
        found += [(key, *rest) for rest in places(value)]
    return found


def changed(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    if not place:
        return value
    copied = document.copy()
    copied[place[0]] = changed(copied[place[0]], place[1:], value)
    return copied


def without(document: Any, place: tuple[Any, ...]) -> Any:
    """A copy without what is at a place."""
    if len(place) == 1:
        copied = document.copy()
        del copied[place[0]]
        return copied
    return changed(document, place[:1], without(document[place[0]], place[1:]))


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def mutations(document: Any) -> st.SearchStrategy[str]:
    """JSON texts of a document with one or two values dropped or replaced, or cut in its middle."""
    text = json.dumps(document)

    @st.composite
    def mutated(draw: Any) -> str:
        damaged = document
        for _ in range(draw(st.integers(1, 2))):
            place = draw(st.sampled_from(places(damaged)))
            if place and draw(st.booleans()):
                damaged = without(damaged, place)
            else:
                damaged = changed(damaged, place, draw(st.sampled_from([*VALUES, nested(80), nested(400)])))
        return json.dumps(damaged)

    cut = st.integers(0, len(text)).map(lambda end: text[:end])
    deep = st.just("[" * 100_000)
    return st.one_of(mutated(), mutated(), mutated(), cut, deep)
