"""The text that ships with the package, for when the user gives no data."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files

SAMPLE_SOURCE = "shipped text sample (WikiText-2 validation, English Wikipedia)"
SAMPLE_LICENCE = "CC BY-SA 3.0"


@lru_cache(maxsize=1)
def sample_passages() -> tuple[tuple[str, str], ...]:
    """Pairs of an article's title and a passage of it, in the order of the file."""
    path = files("compress.data") / "sample" / "wikitext.jsonl"
    with path.open(encoding="utf8") as lines:
        passages = [json.loads(line) for line in lines]
    return tuple((passage["title"], passage["text"]) for passage in passages)


def sample_texts() -> tuple[str, ...]:
    """The passages without their titles."""
    return tuple(text for _, text in sample_passages())
