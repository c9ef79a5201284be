"""Which tokens end a text, by the files of a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.runtime.files import read_settings
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path


def end_tokens(folder: Path) -> int | list[int]:
    """What the generation's settings, the configuration or the tokenizer says. Where nothing does, the last
    token of the vocabulary: the runtime does without none.
    """
    written = [read_settings(folder / name) for name in ("generation_config.json", "config.json")]
    for settings in written:
        if settings.get("eos_token_id") is not None:
            return settings["eos_token_id"]  # type: ignore[no-any-return]
    named: Any = read_settings(folder / "tokenizer_config.json").get("eos_token")
    text = named.get("content") if isinstance(named, dict) else named
    found = load_tokenizer(folder).token_to_id(text) if text else None
    return int(written[1]["vocab_size"]) - 1 if found is None else found
