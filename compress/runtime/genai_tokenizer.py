"""Whether ONNX Runtime GenAI's tokenizer, which other programs use, reads texts as tokenizer.json does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.visible import visible
from compress.runtime.decoder import genai_runtime
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_INSTEAD = "programs that use it should take token ids from tokenizer.json, as compress.load does"


def told_genai(folder: Path, texts: Sequence[str]) -> list[str]:
    """Say how many texts GenAI's tokenizer reads otherwise.

    Args:
        folder: A decoder's artifact.
        texts: What is compared, with and without the special tokens around a text.

    Returns:
        One line, or none where all agree.
    """
    try:
        tokenizer = genai_runtime().Tokenizer(str(folder))
    except RuntimeError as error:
        reason = visible(" ".join(str(error).split())[:120])
        return [f"ONNX Runtime GenAI cannot read this tokenizer ({reason}): {_INSTEAD}"]
    ours = load_tokenizer(folder)
    ours.no_truncation()
    different = [text for text in texts if _read(tokenizer, text) not in _readings(ours, text)]
    if not different:
        return []
    return [
        f"ONNX Runtime GenAI's tokenizer reads {len(different):,} of {len(texts):,} texts otherwise, first "
        f"{visible(repr(different[0][:40]))}: {_INSTEAD}"
    ]


def _read(tokenizer: Any, text: str) -> list[int]:
    return [int(number) for number in tokenizer.encode(text)]


def _readings(tokenizer: Any, text: str) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=special).ids for special in (True, False)]
