"""The tokens of the words that a sentence-transformers model puts before each text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.sentence import transformer_settings
from compress.core.visible import visible
from compress.runtime.files import read_settings
from compress.runtime.tokenizer import read_tokenizer, reading_text

if TYPE_CHECKING:
    from pathlib import Path


def named_prompt(folder: Path, name: str) -> str:
    """Look up a prompt in `config_sentence_transformers.json`.

    Args:
        folder: The model.
        name: The prompt's name, such as `query`.

    Returns:
        The words that stand before each text; empty where the prompt has none.

    Raises:
        CompressError: The model has no prompt of that name.
    """
    prompts = read_settings(folder / "config_sentence_transformers.json").get("prompts") or {}
    if name not in prompts:
        known = f"known: {', '.join(map(visible, prompts))}" if prompts else "this model has no prompts"
        raise CompressError("prompt-unknown", f"no prompt '{visible(str(name))}'", hint=known)
    return str(prompts[name] or "")


def prompt_length(folder: Path, prompt: str) -> int:
    """Count the tokens of a prompt, with special ones before it and without one after it.

    Args:
        folder: The model, with its tokenizer.
        prompt: Words that stand before each text; none have no tokens.
    """
    if not prompt:
        return 0
    lowered = read_settings(transformer_settings(folder)).get("do_lower_case")
    tokenizer = read_tokenizer(folder)
    tokenizer.no_padding()
    with reading_text():
        encoding = tokenizer.encode(prompt.lower() if lowered else prompt)
    return len(encoding) - int(encoding.special_tokens_mask[-1])
