"""Damaged files of every kind that is unpacked or nested end in rows or in one line, never in a traceback."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from compress.core.errors import CompressError
from compress.data.items import load_items
from tests.unit.data.test_kinds import CSV, ROWS, arrow_stream, zipped, zstandard

TAGGED = "\n\n".join("\n".join(f"w{word}\tB-LOC" for word in range(4)) for _ in range(4))
SQUAD = {"data": [{"paragraphs": [{"context": "a b", "qas": [
    {"question": "q", "is_impossible": False, "answers": [{"text": "a"}]}]}]}]}  # fmt: skip
TALKS = "\n".join(json.dumps({"messages": [{"role": "user", "content": "x"}]}) for _ in range(5))
SEVERAL = "\n".join(json.dumps({"text": text, "labels": ["bad", "good"]}) for text, _ in ROWS)
CLASSES = {"bad": 0, "good": 1}
KINDS = {
    "a.arrow": (arrow_stream(), "text-classification", {}),
    "a.csv.gz": (gzip.compress(CSV.encode()), "text-classification", {}),
    "a.csv.zst": (zstandard(CSV.encode()), "text-classification", {}),
    "a.zip": (zipped(a__csv=CSV), "text-classification", {}),
    "a.csv": (CSV.encode(), "text-classification", {}),
    "a.conll": (TAGGED.encode(), "token-classification", {"labels": {"O": 0, "B-LOC": 1}}),
    "a.json": (json.dumps(SQUAD).encode(), "question-answering", {}),
    "talks.jsonl": (TALKS.encode(), "text-generation", {"write_chat": str}),
    "several.jsonl": (
        SEVERAL.encode(), "text-classification", {"problem": "multi_label_classification"}
    ),
}  # fmt: skip
_WORDS = (b"[", b"{", b"null", b"5", b"\x00", b"1e999", b'"', b"\n", b"-1", b"[[[", b"true")


def damaged(data, choose):
    """The bytes with some of them changed, removed, repeated or cut off."""
    found = bytearray(data)
    for _ in range(choose.choice([1, 1, 2, 5])):
        at = choose.randrange(len(found))
        way = choose.random()
        if way < 0.5:
            found[at] = choose.randrange(256)
        elif way < 0.7:
            del found[at : at + choose.randrange(1, 20)]
        elif way < 0.9:
            found[at:at] = choose.choice(_WORDS) * choose.randrange(1, 4)
        else:
            found = found[: at + 1]
        found = found or bytearray(b"x")
    return bytes(found)


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_end_in_rows_or_in_one_line(tmp_path, name):
    data, task, options = KINDS[name]
    choose = random.Random(name)
    load_items(str(write(tmp_path / name, data)), task=task, **{"labels": CLASSES, **options})
    for _ in range(40):
        try:
            path = write(tmp_path / name, damaged(data, choose))
            load_items(str(path), task=task, **{"labels": CLASSES, **options})
        except CompressError as error:
            assert "\n" not in str(error)


def write(path, data):
    path.write_bytes(data)
    return path
