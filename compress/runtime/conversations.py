"""Conversations as the text that a model was trained on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.runtime.files import read_settings
from compress.runtime.text import load_tokenizer

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
        text = _render(self._folder, turns)
        before, after = self._added
        for token in before:
            text = text.removeprefix(token)
        for token in reversed(after):
            text = text.removesuffix(token)
        return text

    @cached_property
    def _added(self) -> tuple[list[str], list[str]]:
        """The special tokens that the tokenizer puts before and after a text."""
        encoding = load_tokenizer(self._folder).encode("a")
        own = [at for at, special in enumerate(encoding.special_tokens_mask) if not special]
        if not own:
            return [], []
        return encoding.tokens[: own[0]], encoding.tokens[own[-1] + 1 :]


def _render(folder: Path, turns: Sequence[Mapping[str, Any]]) -> str:
    """Render the model's template in Jinja's sandbox, as transformers does."""
    import json

    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    settings = read_settings(folder / "tokenizer_config.json")
    path = folder / "chat_template.jinja"
    source = path.read_text(encoding="utf8") if path.is_file() else settings.get("chat_template")
    if not isinstance(source, str) or not source:
        message = "this model's conversations have no template"
        raise CompressError("chat-unsupported", message, hint="give text instead")
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    tokens = {key: _content(value) for key, value in settings.items() if key.endswith("_token")}
    try:
        template = environment.from_string(source)
        return template.render(messages=list(turns), add_generation_prompt=False, **tokens)
    except TemplateError as error:
        message = f"the chat template fails: {str(error).splitlines()[0]}"
        raise CompressError("chat-unsupported", message, hint="check the conversations") from None


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token
