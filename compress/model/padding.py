"""Classifiers that find the end of a text by the padding after it (those of decoders)."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.model.auto import auto_config

if TYPE_CHECKING:
    from pathlib import Path


def refuse_unpadded(folder: Path, architecture: str) -> None:
    """Refuse a classifier that looks for padding and does not know its id.

    transformers' classifiers on decoders answer at the last token that is not `pad_token_id`, and take
    no batch without one.

    Args:
        folder: The checkpoint's folder.
        architecture: The name of the class that it is loaded as.

    Raises:
        CompressError: config.json has no `pad_token_id`, and neither has the class of configurations.
    """
    import transformers

    if not _looks_for_padding(getattr(transformers, architecture, None)):
        return
    config = auto_config(folder)
    if config.get_text_config().pad_token_id is None:
        message = f"{architecture} finds the end of a text by its padding, config.json has no pad_token_id"
        hint = 'write the id of a token that no text holds into config.json, "pad_token_id": 0 say'
        raise CompressError("padding-missing", message, hint=hint)


def _looks_for_padding(architecture: Any) -> bool:
    """Whether the head of a class reads `pad_token_id` when it runs."""
    forward = inspect.unwrap(getattr(architecture, "forward", _looks_for_padding))
    return "pad_token_id" in forward.__code__.co_names
