"""Texts to token ids, with `tokenizers` alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.errors import CompressError
from compress.core.sentence import transformer_settings
from compress.data.sample import sample_texts
from compress.runtime.files import read_settings
from compress.runtime.limits import embedding_rows, max_tokens, position_offset, text_config
from compress.runtime.preprocess import refuse_unknown
from compress.runtime.questions import encode_questions
from compress.runtime.tokenizer import (
    cut_at,
    encode_at_least,
    joins_words,
    largest_id,
    lower,
    read_tokenizer,
    reading_text,
    refuse_beyond,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Encoding, Tokenizer

    from compress.graph.session import TensorSpec


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """What the files beside a tokenizer say about its use."""

    task: str
    max_length: int
    pad_id: int
    pad_left: bool
    cut_left: bool
    """Whether a text that is too long loses its beginning."""
    rows: int | None
    """Rows of the table of embeddings, where config.json says how many."""
    prefix: str
    """Put before each text: the default prompt of a sentence-transformers model."""
    mask_token: str | None
    first_position: int
    decoder_start: int | None
    spaced_words: bool
    """Whether words that are given one by one need a space before them to be tokenized as in text."""


class TextPreprocessor:
    """Rows with `text` (and `text_pair`), `question` and `context`, or `tokens`, to id arrays."""

    modality = "text"

    def __init__(self, tokenizer: Tokenizer, *, settings: TextSettings, inputs: Sequence[TensorSpec]) -> None:
        self.tokenizer = tokenizer
        # Without a mask padding cannot be told from text, so texts of several lengths do not share a batch.
        self.mixed_lengths = any(spec.name == "attention_mask" for spec in inputs)
        self.settings = settings
        self._inputs = tuple(inputs)
        ids = next(spec for spec in inputs if spec.name == "input_ids")
        self._fixed = ids.shape[1] if len(ids.shape) > 1 else None
        if self._fixed and not self.mixed_lengths:
            message = f"the graph takes {self._fixed} tokens exactly and no attention_mask"
            raise CompressError("input-unsupported", message, hint="export it with an attention_mask")
        self.max_length = min(settings.max_length, self._fixed or settings.max_length)
        self.on_cut: Callable[[int, int], None] | None = None
        """Called with how many texts of a batch lose something, and the limit in tokens."""
        self._beyond = settings.rows is not None and largest_id(tokenizer) >= settings.rows
        self._cut()

    def with_prefix(self, prefix: str) -> TextPreprocessor:
        """Give the same preprocessor with other words before each text."""
        settings = replace(self.settings, prefix=prefix)
        other = TextPreprocessor(self.tokenizer, settings=settings, inputs=self._inputs)
        other.on_cut = self.on_cut
        return other

    def feeds(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """Arrays (batch, longest row) by input name, padded where `attention_mask` is 0."""
        return self.batch(self.cut(self.encodings(rows)))

    def cut(self, encodings: list[Encoding]) -> list[Encoding]:
        """Pass encodings on that are read without what is beyond the limit, and tell of it."""
        count = sum(bool(encoding.overflowing) for encoding in encodings) if self.cuts else 0
        if count and self.on_cut is not None:
            self.on_cut(count, self.max_length)
        return encodings

    def encodings(self, rows: Sequence[Mapping[str, Any]]) -> list[Encoding]:
        """One encoding a row, cut at `max_length`: ids, offsets, word numbers, special tokens.

        Raises:
            CompressError: a row has no text, or a question leaves no room for its context.
        """
        if not rows:
            return []
        values = [self._value(row) for row in rows]
        if "question" in rows[0]:
            return self.known(encode_questions(self.tokenizer, values, max_length=self.max_length))
        with reading_text():
            encodings = self.tokenizer.encode_batch(values, is_pretokenized="tokens" in rows[0])
        return self.known(encodings)

    def known(self, encodings: Sequence[Encoding]) -> list[Encoding]:
        """Pass encodings on whose every token has a row in the table of embeddings.

        Raises:
            CompressError: A text holds a token that was added to the tokenizer and not to the model.
        """
        if self._beyond and self.settings.rows is not None:
            for encoding in encodings:
                refuse_beyond(encoding, rows=self.settings.rows)
        return list(encodings)

    def windows(self, rows: Sequence[Mapping[str, Any]]) -> list[list[Encoding]]:
        """All windows of each row: more than one where it is longer than the model takes."""
        return [[encoding, *encoding.overflowing] for encoding in self.encodings(rows)]

    @property
    def overlap(self) -> int:
        """Tokens that two windows of a text whose tokens are classified share."""
        return int((self.tokenizer.truncation or {}).get("stride", 0))

    @property
    def cuts(self) -> bool:
        """Whether what is longer than the model takes is left out, and not read in windows."""
        return self.settings.task not in ("question-answering", "token-classification")

    def batch(self, encodings: Sequence[Encoding]) -> dict[str, np.ndarray]:
        """The arrays of encodings, each (batch, longest) in the type that the graph asks for."""
        length = self._fixed or max(len(encoding) for encoding in encodings)
        shape = (len(encodings), length)
        ids = np.full(shape, self.settings.pad_id, dtype=np.int64)
        kinds, mask = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, encoding in enumerate(encodings):
            start = length - len(encoding) if self.settings.pad_left else 0
            place = slice(start, start + len(encoding))
            ids[row, place], kinds[row, place], mask[row, place] = encoding.ids, encoding.type_ids, 1
        return self._named(ids, kinds=kinds, mask=mask)

    def unpadded(self, array: np.ndarray, encodings: Sequence[Encoding]) -> list[np.ndarray]:
        """The rows of an output (batch, length, ...) of `batch(encodings)`, each with its own tokens."""
        length = array.shape[1]
        if self.settings.pad_left:
            return [row[length - len(encoding) :] for row, encoding in zip(array, encodings, strict=True)]
        return [row[: len(encoding)] for row, encoding in zip(array, encodings, strict=True)]

    def synthetic(self, *, batch: int, length: int) -> dict[str, np.ndarray]:
        """Arrays of exactly (batch, length) without padding: running text, another start in each row.
        A length that the model does not take is cut to its maximum.
        """
        length = self._fixed or min(length, self.max_length)
        return self.batch([self._running(row, length) for row in range(batch)])

    def mask_id(self) -> int:
        """The id of the token that stands for a hidden one.

        Raises:
            CompressError: this tokenizer has none.
        """
        token = self.settings.mask_token
        found = None if token is None else self.tokenizer.token_to_id(token)
        if found is None:
            raise CompressError(
                "tokenizer-invalid", "the tokenizer has no mask token", hint="see tokenizer_config.json"
            )
        return int(found)

    def _value(self, row: Mapping[str, Any]) -> Any:
        if "tokens" in row:
            space = " " if self.settings.spaced_words else ""
            return [space + str(token) for token in row["tokens"]]
        if "question" in row:
            return str(row["question"]), str(row["context"])
        wanted = "question" if self.settings.task == "question-answering" else "text"
        if wanted not in row:
            message = f"a row has no {wanted}, only {', '.join(row)}"
            raise CompressError("row-unusable", message, hint="name its columns")
        text = self.settings.prefix + str(row["text"])
        # A pair is two texts to an encoder of sentences, and one input to every other model.
        if row.get("text_pair") is None or self.settings.task == "feature-extraction":
            return text
        return text, str(row["text_pair"])

    def _cut(self) -> None:
        side = "left" if self.settings.cut_left else "right"
        cut_at(self.tokenizer, self.max_length, side=side, task=self.settings.task)

    def _named(self, ids: np.ndarray, *, kinds: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        starts = np.full((len(ids), 1), self.settings.decoder_start or 0, dtype=np.int64)
        arrays = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": kinds,
            "position_ids": _positions(mask, first=self.settings.first_position),
            "decoder_input_ids": starts,
            "decoder_attention_mask": np.ones_like(starts),
        }
        return {spec.name: arrays[spec.name].astype(spec.dtype) for spec in self._inputs}

    def _running(self, start: int, length: int) -> Encoding:
        room = max(length - self.tokenizer.num_special_tokens_to_add(False), 0)
        texts = sample_texts()
        offset = 7 * start % len(texts)
        text = " ".join(islice(texts[offset:] + texts[:offset], max(length // 8, 8)))
        encoding = encode_at_least(self.tokenizer, text, room)
        encoding.truncate(room)
        self._cut()
        return self.tokenizer.post_process(encoding)


TEXT_INPUTS = {
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "decoder_input_ids",
    "decoder_attention_mask",
}


def load_text(folder: Path, *, task: str, inputs: Sequence[TensorSpec]) -> TextPreprocessor:
    """The tokenizer in `folder` and the limits that the files beside it set.

    Raises:
        CompressError: there is no tokenizer.json, it is damaged, or an input cannot be filled.
    """
    refuse_unknown(inputs, TEXT_INPUTS)
    tokenizer = read_tokenizer(folder)
    sentence = read_settings(transformer_settings(folder))
    if sentence.get("do_lower_case"):
        lower(tokenizer)
    settings = _settings(folder, task, tokenizer, sentence)
    tokenizer.no_padding()
    return TextPreprocessor(tokenizer, settings=settings, inputs=inputs)


def _settings(folder: Path, task: str, tokenizer: Tokenizer, sentence: Mapping[str, Any]) -> TextSettings:
    config = read_settings(folder / "config.json")
    written = read_settings(folder / "tokenizer_config.json")
    special = read_settings(folder / "special_tokens_map.json") | written
    return TextSettings(
        task=task,
        max_length=max_tokens(config=config, tokenizer=written, sentence=sentence),
        pad_id=_pad_id(tokenizer, special, config, task),
        pad_left=_side(written.get("padding_side"), tokenizer.padding) == "left",
        cut_left=_side(written.get("truncation_side"), tokenizer.truncation) == "left",
        rows=embedding_rows(config),
        prefix=default_prompt(folder),
        mask_token=_token(special.get("mask_token")),
        first_position=position_offset(config),
        decoder_start=config.get("decoder_start_token_id"),
        spaced_words=task == "token-classification" and joins_words(tokenizer),
    )


def _token(value: Any) -> str | None:
    """A special token, which is written as a string or as a mapping with `content`."""
    return value.get("content") if isinstance(value, dict) else value


def _side(setting: Any, written: Mapping[str, Any] | None) -> Any:
    """Where texts are padded or cut: as tokenizer_config.json says, else as tokenizer.json does."""
    return setting or (written or {}).get("direction")


def _pad_id(tokenizer: Tokenizer, special: Mapping[str, Any], config: Mapping[str, Any], task: str) -> int:
    token = _token(special.get("pad_token"))
    written = text_config(config).get("pad_token_id")
    named = None if token is None else tokenizer.token_to_id(token)
    # A decoder's classifier tells padding by config.json's id, whatever the tokenizer's is called.
    order = (written, named) if task == "text-classification" else (named, written)
    rows = embedding_rows(config)
    usable = (number for number in order if isinstance(number, int) and 0 <= number < (rows or number + 1))
    # Padding is masked, so any id of the vocabulary does where the model has none of its own.
    return next(usable, 0)


def default_prompt(folder: Path) -> str:
    """Read the words that sentence-transformers puts before each text; empty where there are none."""
    settings = read_settings(folder / "config_sentence_transformers.json")
    name = settings.get("default_prompt_name")
    return str((settings.get("prompts") or {}).get(name) or "") if name else ""


def _positions(mask: np.ndarray, *, first: int) -> np.ndarray:
    """Numbers of the positions that are not padding, from `first` on: (batch, length) int64."""
    counted: np.ndarray = np.cumsum(mask, axis=1) * mask
    return counted + first - 1 if first else np.maximum(counted - 1, 0)
