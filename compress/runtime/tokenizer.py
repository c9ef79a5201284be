"""`tokenizer.json` as it lies in a folder, and what its parts do to words and lengths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, normalizers

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.regular_files import read_bytes
from compress.core.visible import visible
from compress.runtime.files import read_settings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tokenizers import Encoding

WINDOW_OVERLAP = 128
"""Tokens that two windows of a long text share (Devlin et al. 2019)."""


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json` with the padding and truncation that may be written in it.

    Raises:
        CompressError: The file is missing or damaged.
    """
    path = folder / "tokenizer.json"
    try:
        content = read_bytes(path, code="tokenizer-invalid")
    except FileNotFoundError:
        hint = "save it with AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)"
        raise CompressError("tokenizer-missing", f"{folder} has no tokenizer.json", hint=hint) from None
    with translated("tokenizer-invalid", f"{path} is not a tokenizer", hint="copy it from the original"):
        tokenizer = Tokenizer.from_buffer(content)
    settings = read_settings(folder / "tokenizer_config.json")
    tokenizer.encode_special_tokens = settings.get("split_special_tokens") is True
    return tokenizer


def reading_text() -> AbstractContextManager[None]:
    """Within, a tokenizer that cannot read a text, or panics at it, is refused in one line."""
    return translated("row-unusable", "a text cannot be tokenized", hint="shorten or fix it")


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load `tokenizer.json` without the padding that may be written in it.

    Raises:
        CompressError: The file is missing or damaged.
    """
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    return tokenizer


def cut_at(tokenizer: Tokenizer, length: int, *, side: str, task: str) -> None:
    """Have a tokenizer truncate texts as transformers does.

    Nothing is lost of contexts of questions and of texts whose tokens are classified: they are read in
    windows that overlap.

    Args:
        tokenizer: What is set.
        length: The most tokens, special ones included.
        side: `right` or `left`, where tokens are left out.
        task: The model's task.
    """
    if task == "question-answering":
        tokenizer.no_truncation()
    elif task == "token-classification":
        tokenizer.enable_truncation(length, stride=overlap_of(length), strategy="longest_first")
    else:
        tokenizer.enable_truncation(length, strategy="longest_first", direction=side)


def overlap_of(length: int) -> int:
    """Return the tokens that two windows of at most `length` tokens share."""
    return min(WINDOW_OVERLAP, length // 4)


def encode_at_least(tokenizer: Tokenizer, text: str, room: int) -> Encoding:
    """Encode a text, repeated until it has `room` tokens where its language is foreign to the tokenizer."""
    tokenizer.no_truncation()
    encoding = tokenizer.encode(text, add_special_tokens=False)
    while 0 < len(encoding) < room:
        text = f"{text} {text}"
        encoding = tokenizer.encode(text, add_special_tokens=False)
    return encoding


def joins_words(tokenizer: Tokenizer) -> bool:
    """Whether a word that stands alone would be read as the middle of one (GPT-2's byte-level BPE,
    in which the space before a word is a part of it).
    """
    if tokenizer.pre_tokenizer is None:
        return False
    state = json.loads(tokenizer.pre_tokenizer.__getstate__())
    steps = state.get("pretokenizers", [state])
    byte_level = [step for step in steps if step["type"] == "ByteLevel"]
    return bool(byte_level) and not any(step.get("add_prefix_space") for step in byte_level)


def lower(tokenizer: Tokenizer) -> None:
    """Lower-case before anything else, as sentence-transformers does on `do_lower_case`."""
    steps = [normalizers.Lowercase()]
    if tokenizer.normalizer is not None:
        steps.append(tokenizer.normalizer)
    tokenizer.normalizer = normalizers.Sequence(steps)


def largest_id(tokenizer: Tokenizer) -> int:
    """The largest id that a text or a special token may get."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


def refuse_beyond(encoding: Encoding, *, rows: int) -> None:
    """Refuse a text with a token for which the table of embeddings has no row.

    Raises:
        CompressError: Naming the first such token.
    """
    for part in (encoding, *encoding.overflowing):
        for token, number in zip(part.tokens, part.ids, strict=True):
            if number >= rows:
                message = f"the token '{visible(token)}' has id {number}, the model has {rows} embeddings"
                hint = "take it out of the text; whoever added it to the tokenizer did not resize the model"
                raise CompressError("token-unknown", message, hint=hint)
