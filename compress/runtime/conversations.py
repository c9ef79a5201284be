"""Conversations as the text that a model was trained on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from compress.runtime.chat import ChatTemplate
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class ConversationWriter:
    """Writes turns by the chat template in a model's folder, which is read when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, turns: Sequence[Mapping[str, Any]]) -> str:
        """Write a whole conversation.

        Args:
            turns: Each with `role` and `content`.

        Returns:
            The text, without the special tokens that the tokenizer itself puts around every text.

        Raises:
            CompressError: The model has no template, or the template fails.
        """
        text = self._template.render(turns, add_generation_prompt=False)
        before, after = self._added
        for token in before:
            text = text.removeprefix(token)
        for token in reversed(after):
            text = text.removesuffix(token)
        return text

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self._folder)

    @cached_property
    def _added(self) -> tuple[list[str], list[str]]:
        """Find the special tokens that the tokenizer puts before and after a text."""
        encoding = load_tokenizer(self._folder).encode("a")
        own = [at for at, special in enumerate(encoding.special_tokens_mask) if not special]
        if not own:
            return [], []
        return encoding.tokens[: own[0]], encoding.tokens[own[-1] + 1 :]
