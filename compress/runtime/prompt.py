"""The tokens of the words that a sentence-transformers model puts before each text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.sentence import transformer_settings
from compress.runtime.files import read_settings
from compress.runtime.text import default_prompt
from compress.runtime.tokenizer import read_tokenizer, reading_text

if TYPE_CHECKING:
    from pathlib import Path


def prompt_length(folder: Path) -> int:
    """Count the tokens of the default prompt, with special ones before it and without one after it."""
    prompt = default_prompt(folder)
    if not prompt:
        return 0
    lowered = read_settings(transformer_settings(folder)).get("do_lower_case")
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    with reading_text():
        encoding = tokenizer.encode(prompt.lower() if lowered else prompt)
    return len(encoding) - int(encoding.special_tokens_mask[-1])
