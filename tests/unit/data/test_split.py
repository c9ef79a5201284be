"""The two parts share nothing, keep the classes' shares, and are always the same."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.core.errors import CompressError
from compress.data.items import make_items
from compress.data.split import calibration_size, split


def items_of(rows):
    return make_items(rows, columns={"text": "text"}, source="test", labelled=True)


def labelled(texts, classes=3):
    return items_of([{"text": text, "label": len(text) % classes} for text in texts])


texts = st.lists(st.text("abAB ", min_size=1, max_size=4), min_size=2, max_size=60)


def plain(text):
    return " ".join(text.split()).casefold()


@given(texts=texts, calibration=st.integers(1, 40), seed=st.integers(0, 5))
def test_parts_are_disjoint_by_content_and_complete(texts, calibration, seed):
    items = labelled(texts)
    if len({plain(text) for text in texts}) < 2:
        with pytest.raises(CompressError) as error:
            split(items, calibration=calibration, seed=seed)
        assert error.value.code == "data-too-small"
        return
    first, second = split(items, calibration=calibration, seed=seed)
    contents = [{plain(row["text"]) for row in part.rows} for part in (first, second)]
    assert not contents[0] & contents[1]
    assert len(first) + len(second) == len(items)
    assert len(first) > 0
    assert len(second) > 0
    assert len(first) <= calibration or len({plain(row["text"]) for row in first.rows}) == 1


def test_the_same_in_any_order_and_another_for_another_seed():
    texts = [f"text number {i}" for i in range(100)]
    shuffled = texts.copy()
    random.Random(1).shuffle(shuffled)
    parts = [
        {row["text"] for row in split(labelled(order), calibration=25, seed=seed)[0].rows}
        for order, seed in ((texts, 0), (shuffled, 0), (texts, 1))
    ]
    assert parts[0] == parts[1]
    assert parts[0] != parts[2]
    first, _ = split(labelled(texts), calibration=25, seed=0)
    places = [texts.index(row["text"]) for row in first.rows]
    assert places == sorted(places)


def test_classes_keep_their_shares():
    rows = [
        {"text": f"{label} {i}", "label": label} for label, n in ((0, 80), (1, 40), (2, 8)) for i in range(n)
    ]
    first, second = split(items_of(rows), calibration=32, seed=0)
    assert [sum(row["label"] == label for row in first.rows) for label in range(3)] == [20, 10, 2]
    assert len(second) == 96


def test_scores_are_no_classes():
    rows = [{"text": f"{i}", "text_pair": "x", "label": i / 7} for i in range(40)]
    assert len(split(items_of(rows), calibration=10, seed=0)[0]) == 10


def test_pairs_are_duplicates_only_as_a_whole():
    rows = [{"text": "same", "text_pair": f"other {i}"} for i in range(8)]
    assert len(split(items_of(rows), calibration=2, seed=0)[0]) == 2


@pytest.mark.parametrize(("items", "expected"), [(1, 1), (3, 1), (4, 1), (100, 25), (1024, 256), (9000, 256)])
def test_a_quarter_calibrates_at_most(items, expected):
    assert calibration_size(items) == expected


def test_digests_tell_parts_and_answers_apart():
    items = labelled([f"text {i}" for i in range(20)])
    first, second = split(items, calibration=5, seed=0)
    assert len({items.digest, first.digest, second.digest}) == 3
    other = items_of([row | {"label": 9} for row in items.rows])
    assert other.keys == items.keys
    assert other.digest != items.digest
