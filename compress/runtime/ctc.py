"""Transcripts from the frames of a CTC model (Graves et al. 2006), best path."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from compress.core.checkpoint_files import VocabularyFile
from compress.core.errors import CompressError
from compress.core.schema import validated
from compress.runtime.files import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np


class CtcDecoder:
    """Turns logits of frames into text with the vocabulary beside a model."""

    def __init__(self, *, blank: int, text: Callable[[Sequence[int]], str]) -> None:
        self._blank = blank
        self._text = text

    def decode(self, logits: np.ndarray) -> str:
        """The text of one item, given its logits (frames, vocabulary) without padding: the best class
        of each frame, repeats taken once, blanks dropped.
        """
        path = [int(index) for index, _ in groupby(logits.argmax(axis=-1))]
        return self._text([index for index in path if index != self._blank])


def load_ctc(folder: Path) -> CtcDecoder:
    """The decoder of a folder with vocab.json (characters) or tokenizer.json.

    Raises:
        CompressError: there is neither, or the language that the model is set to is not in vocab.json.
    """
    settings = read_settings(folder / "tokenizer_config.json")
    config = read_settings(folder / "config.json")
    vocabulary = read_settings(folder / "vocab.json")
    if not vocabulary:
        return _subwords(folder, int(config.get("pad_token_id") or 0))
    validated(VocabularyFile, vocabulary, where=str(folder / "vocab.json"), code="tokenizer-invalid")
    if all(isinstance(value, dict) for value in vocabulary.values()):
        vocabulary = _of_language(vocabulary, settings.get("target_lang"))
    names = {index: token for token, index in vocabulary.items()}
    pad = _content(settings.get("pad_token"), "<pad>")
    delimiter = _content(settings.get("word_delimiter_token"), "|")
    between = settings.get("replace_word_delimiter_char") or " "

    def text(path: Sequence[int]) -> str:
        joined = "".join(between if names.get(i) == delimiter else names.get(i, "") for i in path)
        joined = joined.strip()
        return joined.lower() if settings.get("do_lower_case") else joined

    return CtcDecoder(blank=vocabulary.get(pad, int(config.get("pad_token_id") or 0)), text=text)


def _subwords(folder: Path, blank: int) -> CtcDecoder:
    from compress.runtime.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(folder)
    return CtcDecoder(blank=blank, text=lambda path: str(tokenizer.decode(list(path))).strip())


def _of_language(vocabularies: dict[str, dict[str, int]], language: str | None) -> dict[str, int]:
    if language not in vocabularies:
        known = ", ".join(sorted(vocabularies)[:8])
        message = f"vocab.json has no language '{language}'"
        raise CompressError("tokenizer-invalid", message, hint=f"it has {known} ...")
    return vocabularies[language]


def _content(token: object, default: str) -> str:
    value = token.get("content") if isinstance(token, dict) else token
    return str(value) if value is not None else default
