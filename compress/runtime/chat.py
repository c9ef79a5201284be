"""How a model wants conversations written: by the template that transformers picks among its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.regular_files import read_text
from compress.core.visible import visible
from compress.runtime.files import read_settings
from compress.runtime.templates import Renderer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
_DEFAULT = "default"
_LONGEST = 2**20
"""Bytes of a template."""


class ChatTemplate:
    """A model's default template, ready to render conversations."""

    def __init__(self, folder: Path) -> None:
        """Read the template of a model.

        Raises:
            CompressError: It has none, or several of which none is the default one.
        """
        written = read_settings(folder / "tokenizer_config.json")
        self._source = _source(folder, written)
        self._tokens = _named_tokens(folder, written)
        self._renderer = Renderer()

    def render(self, messages: Sequence[Mapping[str, Any]], *, add_generation_prompt: bool = True) -> str:
        """Write a conversation as the model was trained on it.

        Args:
            messages: The turns, each with `role` and `content`.
            add_generation_prompt: Whether the beginning of the model's next turn is added.

        Returns:
            What `apply_chat_template(..., tokenize=False)` of transformers gives.

        Raises:
            CompressError: The template fails, or exceeds a limit of time, memory or length.
        """
        values = {
            **self._tokens,
            "messages": [dict(message) for message in messages],
            "tools": None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
        }
        return self._renderer.render(self._source, values)


def _source(folder: Path, written: Mapping[str, Any]) -> str:
    """The default template: of files, where there are any, else of tokenizer_config.json."""
    templates = _template_files(folder) or _written_templates(written)
    if not templates:
        message = "this model's conversations have no template"
        raise CompressError("chat-unsupported", message, hint="leave chat out")
    if _DEFAULT not in templates:
        names = visible(", ".join(sorted(templates)))
        message = f"this model has chat templates named {names}, and none that is the default"
        raise CompressError("chat-unsupported", message, hint=f"save one of them as {TEMPLATE}")
    return templates[_DEFAULT]


def _template_files(folder: Path) -> dict[str, str]:
    """Templates by name, of the files beside a tokenizer."""
    paths = {path.stem: path for path in sorted((folder / MORE_TEMPLATES).glob("*.jinja"))}
    if (folder / TEMPLATE).exists():
        paths[_DEFAULT] = folder / TEMPLATE
    return {name: read_text(path, limit=_LONGEST, code="config-invalid") for name, path in paths.items()}


def _written_templates(written: Mapping[str, Any]) -> dict[str, str]:
    """Templates by name, of tokenizer_config.json: one without a name, a list of several, or a mapping."""
    templates = written.get("chat_template") or {}
    if isinstance(templates, str):
        return {_DEFAULT: templates}
    if isinstance(templates, list):
        return {template["name"]: template["template"] for template in templates}
    return dict(templates)


def _named_tokens(folder: Path, written: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens that templates may name (`bos_token` ...), as transformers 5 reads them."""
    if "added_tokens_decoder" not in written:
        written = {**written, **read_settings(folder / "special_tokens_map.json")}
    extra = written.get("extra_special_tokens")
    named = {key: value for key, value in written.items() if key.endswith("_token")}
    if isinstance(extra, dict):
        named |= extra
    contents = {
        key: value.get("content") if isinstance(value, dict) else value for key, value in named.items()
    }
    return {key: value for key, value in contents.items() if isinstance(value, str)}
