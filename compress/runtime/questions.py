"""Questions, each before the windows of its context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.runtime.tokenizer import overlap_of, reading_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding, Tokenizer


def encode_questions(
    tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], *, max_length: int
) -> list[Encoding]:
    """An encoding of at most `max_length` tokens for each question and context; what of a context is left
    is in its `overflowing`, in windows that have the question, too. `tokenizer` truncates nothing.

    Raises:
        CompressError: a question leaves no room for its context.
    """
    with reading_text():
        questions, contexts = (
            tokenizer.encode_batch([pair[side] for pair in pairs], add_special_tokens=False)
            for side in (0, 1)
        )
    room = max_length - tokenizer.num_special_tokens_to_add(True)
    found = []
    for question, context in zip(questions, contexts, strict=True):
        _cut(context, room - len(question), overlap=overlap_of(max_length))
        found.append(tokenizer.post_process(question, context))
    return found


def _cut(context: Encoding, room: int, *, overlap: int) -> None:
    """Two windows share at most half of what a long question leaves, so that their number stays small."""
    if room < 1:
        message = "a question leaves no room for its context"
        raise CompressError("row-unusable", message, hint="shorten it, or check which column it is")
    context.truncate(room, stride=min(overlap, room // 2))
