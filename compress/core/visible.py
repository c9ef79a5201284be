"""Make control characters visible before a stranger's words reach a terminal.

The name of a tensor, a label or a column may hold escape sequences that clear the screen, change the
title or write what looks like this tool's own verdict. Characters that print nothing are replaced by
their escapes; text in any script stays as it is.
"""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Unicode categories: control, format (bidirectional overrides, zero width), surrogates, private use, and
separators of lines and paragraphs."""


def visible(text: str, *, keep: str = "") -> str:
    """Replace characters that a terminal obeys instead of printing by escapes.

    Args:
        text: What is to be printed.
        keep: Control characters that stay, such as line ends in text of several lines.

    Returns:
        The text with each hidden character as Python writes it in ASCII. A zero-width joiner between two
        visible characters stays, since emoji and several scripts are written with it.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in keep or not _is_hidden(text, place) else _escaped(character)
        for place, character in enumerate(text)
    )


def _is_hidden(text: str, place: int) -> bool:
    character = text[place]
    if character in "\u200c\u200d" and 0 < place < len(text) - 1:
        return not (text[place - 1].isprintable() and text[place + 1].isprintable())
    return unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
