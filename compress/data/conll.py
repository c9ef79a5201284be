"""Tagged words as CoNLL's shared tasks write them: a word a line, a blank line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACES = re.compile(r"[ \t]+")
_SPAN = re.compile(r"\d+[-.]\d+")
"""The number of a contracted word or of an empty node, whose parts follow (CoNLL-U)."""


@dataclass(frozen=True)
class _Line:
    number: int
    fields: list[str]


def conll_rows(name: str, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read sentences of tagged words.

    Columns are separated by tabs where every line has one, so that a word may hold a blank; else by
    blanks. The word is the first column, or the second where the first counts words (CoNLL-U). Comments
    begin with `#` and have another number of columns than words have, or are `# name = value`.

    Yields:
        The first line of each sentence, and its columns: `tokens`, `tags` (the last column), and every
        column by its number from 1.

    Raises:
        CompressError: A word has no tag, or one between tabs other columns than most; the line is named.
    """
    sentences = list(_sentences(name, text))
    word = 1 if sentences and all(_is_counted(sentence) for sentence in sentences) else 0
    for sentence in sentences:
        lines = [line.fields for line in sentence if not (word and _SPAN.fullmatch(line.fields[0]))]
        numbered = zip(*lines, strict=True) if len({len(fields) for fields in lines}) == 1 else ()
        columns = {str(number): list(column) for number, column in enumerate(numbered, start=1)}
        tokens, tags = [fields[word] for fields in lines], [fields[-1] for fields in lines]
        yield sentence[0].number, {"tokens": tokens, "tags": tags, **columns}


def looks_like_conll(text: str) -> bool:
    """Tell whether a file of tabs holds words and blank lines between sentences, and no header."""
    blocks = re.split(r"(?:\r?\n[ \t]*){2,}", text.strip())
    first = blocks[0].splitlines()[0].split("\t") if blocks[0] else []
    return len(blocks) > 1 and not {"tokens", "words"} & {field.strip().lower() for field in first}


def _sentences(name: str, text: str) -> Iterator[list[_Line]]:
    lines = re.split(r"\r\n|\r|\n", text)
    tabs = all(
        "\t" in line for line in lines if line.strip(" \t") and not line.startswith(("#", "-DOCSTART-"))
    )
    width = _width(lines, tabs=tabs)
    sentence: list[_Line] = []
    for number, line in enumerate([*lines, ""], start=1):
        fields = _fields(line, tabs=tabs)
        if fields[0] == "-DOCSTART-" or _is_comment(line, len(fields), width):
            continue
        if line.strip(" \t"):
            _refuse_ragged(f"{name} line {number}", fields, width if tabs else len(fields))
            sentence.append(_Line(number, fields))
        elif sentence:
            yield sentence
            sentence = []


def _words(lines: list[str]) -> list[str]:
    written = [line for line in lines if line.strip(" \t") and not line.startswith("-DOCSTART-")]
    return [line for line in written if not line.startswith("#")] or written


def _is_comment(line: str, fields: int, width: int) -> bool:
    return line.startswith("#") and (fields != width or re.match(r"#\s*\S+ = ", line) is not None)


def _fields(line: str, *, tabs: bool) -> list[str]:
    # A no-break space is a word like any other, so only blanks and tabs part columns.
    return line.rstrip("\t").split("\t") if tabs else _SPACES.split(line.strip(" \t"))


def _width(lines: list[str], *, tabs: bool) -> int:
    """Count the columns that most words have."""
    counted = Counter(len(_fields(line, tabs=tabs)) for line in _words(lines))
    return counted.most_common(1)[0][0] if counted else 0


def _refuse_ragged(place: str, fields: list[str], width: int) -> None:
    if len(fields) < 2:
        message = f"{place} has no tag after '{fields[0]}'"
        raise CompressError("data-unreadable", message, hint="write a word and a tag a line")
    if len(fields) != width:
        message = f"{place} has {len(fields)} columns, expected {width} as most lines have"
        raise CompressError("data-unreadable", message, hint="separate columns by tabs, or mend the line")


def _is_counted(sentence: list[_Line]) -> bool:
    """Tell whether the first column counts the words: 1, 2, 3 ...."""
    numbers = [line.fields[0] for line in sentence if not _SPAN.fullmatch(line.fields[0])]
    return len(sentence[0].fields) > 2 and numbers == [str(at) for at in range(1, len(numbers) + 1)]
