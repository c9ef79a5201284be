"""Damaged tables, pictures and sounds are read, or refused in one line: a short form of the fuzz bench."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.reliability.inputs import media, tables

NAMES = [
    *("rows.csv", "rows.tsv", "rows.jsonl", "rows.json", "tags.jsonl", "tags.conll", "answers.jsonl"),
    *("squad.json", "rows.parquet", "rows.arrow", "picture.png", "picture.jpg", "picture.gif", "picture.tif"),
    *("picture.webp", "picture.bmp", "sound.wav", "sound.flac", "sound.ogg", "sound.mp3"),
]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    root = tmp_path_factory.mktemp("seeds")
    return {one.name: one for one in (*tables(root), *media(root))}, root / "work" / "input"


@pytest.mark.parametrize("name", NAMES)
def test_damaged_data_is_read_or_refused_in_one_line(name, known) -> None:
    readers, target = known

    @settings(max_examples=60)
    @given(seed=st.integers(0, 2**32))
    def check(seed: int) -> None:
        readers[name].check(target, seed)

    check()
