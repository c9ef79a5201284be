"""Texts as a student and its teacher read them, each with a tokenizer of its own."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from compress.data.chunks import chunks
from compress.graph.session import TensorSpec
from compress.model.healing.batches import Batch, batch_of, by_length, by_tokens, same_places
from compress.model.healing.lost_words import pools, replaced
from compress.model.healing.tokens import Shared, first_pieces, same_readings, shared
from compress.model.vocabulary.expected import likely
from compress.runtime.files import read_settings, same_tokenizer
from compress.runtime.text import TextPreprocessor, load_text
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Context, Row

CAUSAL = "text-generation"
WIDE = (CAUSAL, "fill-mask")
"""Tasks whose answers are as wide as a vocabulary."""

_STEP_TOKENS = 640
"""Of a language model, about how many a step learns from."""
_SPELLED_ROWS = 0.33
"""Copies of texts with words that a cut vocabulary has to spell, as a share of all texts at most."""
_SPELLED_OFTEN = 100.0
"""That share is so many times the share of tokens that text like it is expected to lack."""
_SPELLED = 0.2
"""Share of the words of those that are replaced."""


@dataclass(frozen=True)
class Texts:
    """Rows of text for a student and its teacher, each with a tokenizer of its own."""

    artifact: Artifact
    names: tuple[str, ...]
    context: Context
    size: int | None = None
    """Items at once; None is 48, and for language models as many as have `_STEP_TOKENS` together."""
    length: int | None = None
    """Tokens of a text at most; None is 64, and 256 for language models."""

    def batches(self) -> list[Batch]:
        """All rows as batches, the longest texts cut in several."""
        original = cast("Artifact", self.context.original)
        own = self._preprocessor(self.artifact.folder)
        same = same_tokenizer(self.artifact.folder, original.folder)
        other = own if same else self._preprocessor(original.folder)
        rows = self._rows(own)
        if not same and self.artifact.task == CAUSAL:
            rows += self._spelled(rows, own, other)
        lengths = [len(one) for one in own.encodings(rows)]
        parts = [[rows[at] for at in group] for group in self._groups(lengths)]
        return [self._batch(part, own, None if same else other) for part in parts]

    def _groups(self, lengths: Sequence[int]) -> list[list[int]]:
        if self.size is None and self.artifact.task in WIDE:
            return by_tokens(lengths, _STEP_TOKENS, seed=self.context.seed)
        groups = by_length(lengths, self.size or 48, seed=self.context.seed)
        return [group for group in groups if len(group) > 1]

    def _batch(self, rows: Sequence[Row], own: TextPreprocessor, other: TextPreprocessor | None) -> Batch:
        ours = own.encodings(rows)
        feeds, labels = own.batch(ours), self._classes(rows)
        if other is None:
            return batch_of(feeds, labels=labels)
        theirs = other.encodings(rows)
        given = other.batch(theirs)
        widths = {"student": feeds["input_ids"].shape[1], "teacher": given["input_ids"].shape[1]}
        left = widths if own.settings.pad_left else {}
        same = same_readings if self.artifact.task == CAUSAL else same_places
        places = same(ours, theirs, width=widths["student"], left=left)
        return batch_of(feeds, given, places=places, labels=labels)

    def _spelled(self, rows: Sequence[Row], own: TextPreprocessor, other: TextPreprocessor) -> list[Row]:
        """Copies of some rows, with words that the student spells in the place of others. (Some are of texts
        that are held out: the loss on those flatters a little.)
        """
        texts = [str(row["text"]) for row in rows if set(row) == {"text"}]
        encodings = other.encodings([{"text": text} for text in texts])
        counts = Counter(number for one in encodings for number in one.ids)
        document = json.loads(other.tokenizer.to_str())
        kept = own.tokenizer.get_vocab()
        likelihoods = zip(*(one.tolist() for one in likely(document, counts)), strict=True)
        known = other.tokenizer
        lost = {number: share for number, share in likelihoods if known.id_to_token(number) not in kept}
        choices, random = pools(known, lost), np.random.default_rng(self.context.seed)
        count = spelled_copies(len(texts), sum(lost.values())) if choices else 0
        chosen = random.choice(len(texts), count, replace=False).tolist() if count else []
        return [
            {"text": replaced(texts[at], encodings[at], choices, share=_SPELLED, random=random)}
            for at in chosen
        ]

    def _classes(self, rows: Sequence[Row]) -> list[int] | None:
        return labels_of(rows) if self.artifact.task == "text-classification" else None

    def _preprocessor(self, folder: Path) -> TextPreprocessor:
        specs = [TensorSpec(name, "int64", (None, None)) for name in self.names]
        text = load_text(folder, task=self.artifact.task, inputs=specs)
        if self.artifact.task != "question-answering":  # whose windows hold a question and a context
            text.tokenizer.enable_truncation(min(self._most, text.max_length), strategy="longest_first")
        return text

    @property
    def _most(self) -> int:
        return self.length or (256 if self.artifact.task in WIDE else 64)

    def _rows(self, own: TextPreprocessor) -> list[Row]:
        """The calibration rows; a text by itself that is longer than a batch takes is several. A text that is
        there twice is taken once: held out and learned from, it would hide that a model is overfitted.
        """
        rows: list[Row] = []
        texts: dict[str, None] = {}
        for row in self.context.calibration.rows():
            if set(row) == {"text"}:
                texts.update(dict.fromkeys(chunks(str(row["text"]), own.tokenizer)))
            else:
                rows.append(row)
        return [*rows, *({"text": text} for text in texts)]


def spelled_copies(texts: int, lost: float) -> int:
    """How many of so many texts are read again with words to spell, where they lack a share `lost`."""
    return int(min(_SPELLED_ROWS, _SPELLED_OFTEN * lost) * texts)


def shared_vocabulary(artifact: Artifact, context: Context) -> Shared | None:
    """The tokens that both have; None where they have the same."""
    original = cast("Artifact", context.original)
    if artifact.task not in WIDE or same_tokenizer(artifact.folder, original.folder):
        return None
    own, other = load_tokenizer(artifact.folder), load_tokenizer(original.folder)
    known = other.get_vocab()
    size = int(load_size(artifact.folder))
    found = torch.full((size,), -1, dtype=torch.int64)
    for piece, number in own.get_vocab().items():
        found[number] = known.get(piece, -1)
    return shared(found, first_pieces(own, other) if artifact.task == CAUSAL else None)


def load_size(folder: Path) -> int:
    """The vocabulary's size in config.json."""
    config: dict[str, Any] = read_settings(folder / "config.json")
    return int(config.get("vocab_size") or (config.get("text_config") or {})["vocab_size"])


def labels_of(rows: Sequence[Row]) -> list[int] | None:
    """The classes that rows name; None where not each does."""
    labels = [row.get("label") for row in rows]
    known = bool(labels) and all(isinstance(one, int) for one in labels)
    return cast("list[int]", labels) if known else None
