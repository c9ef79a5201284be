"""The ways from rows to a graph's inputs that metrics share."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from compress.measure.metric import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Encoding

    from compress.measure.metric import Tools
    from compress.runtime.preprocess import Row

MASKED_SHARE = 0.15
"""As BERT was trained (Devlin et al. 2019, section 3.1)."""
WINDOW = 512
"""Tokens a language model sees at once. The logits of one window of a vocabulary of 250,000 take half
a gigabyte."""


def whole(rows: Sequence[Row], tools: Tools) -> Batch:
    """Each row is one input."""
    return Batch(rows=rows, feeds=tools.preprocess.feeds(rows), tools=tools)


def pairs(rows: Sequence[Row], tools: Tools) -> Batch:
    """All texts, then the text that each is compared with: 2 * len(rows) inputs."""
    seconds = [{"text": row["text_pair"]} for row in rows]
    return Batch(rows=rows, feeds=tools.preprocess.feeds([*rows, *seconds]), tools=tools)


def windowed(rows: Sequence[Row], tools: Tools) -> Batch:
    """Contexts and texts whose tokens are classified are several inputs, if they are long: one a window."""
    windows = tools.text.windows(rows)
    encodings = [encoding for group in windows for encoding in group]
    owners = [row for row, group in enumerate(windows) for _ in group]
    feeds = tools.text.batch(encodings)
    return Batch(rows=rows, feeds=feeds, tools=tools, encodings=encodings, owners=owners)


def by_task(rows: Sequence[Row], tools: Tools) -> Batch:
    """What the task's decisions ask for."""
    ways = {
        "token-classification": windowed,
        "question-answering": windowed,
        "fill-mask": masked,
        "text-generation": causal,
    }
    return ways.get(tools.task, whole)(rows, tools)


@dataclass(frozen=True)
class Tokens:
    """Tokens of one input, in the shape of an `Encoding`; `hidden` positions are to be found."""

    ids: Sequence[int]
    type_ids: Sequence[int]
    targets: Sequence[int]
    hidden: Sequence[bool]

    def __len__(self) -> int:
        return len(self.ids)


def masked(rows: Sequence[Row], tools: Tools) -> Batch:
    """Of each text 15% of its own tokens, at least one, are hidden behind the mask token.

    Which ones follows from the text alone, so they are the same for every contender, batch and run. Where
    the model that is compared with has another tokenizer, the same stretches of text are hidden as of it.
    """
    mask = tools.text.mask_id()
    encodings = tools.text.encodings(rows)
    if tools.original is None:
        places = [_chosen(encoding) for encoding in encodings]
    else:
        firsts = tools.original.text.encodings(rows)
        places = [_same_text(one, first) for one, first in zip(encodings, firsts, strict=True)]
    tokens = [_hide(encoding, hidden, mask) for encoding, hidden in zip(encodings, places, strict=True)]
    return _batch(rows, tokens, tools, owners=range(len(rows)))


def _chosen(encoding: Encoding) -> np.ndarray:
    """Which tokens are hidden: (T,) bool."""
    ids = np.array(encoding.ids[:WINDOW])
    usual = np.flatnonzero(np.array(encoding.special_tokens_mask[:WINDOW]) == 0)
    random = np.random.default_rng(zlib.crc32(ids.tobytes()))
    count = min(max(round(MASKED_SHARE * len(usual)), 1), len(usual))
    hidden = np.zeros(len(ids), dtype=bool)
    hidden[random.choice(usual, count, replace=False)] = True
    return hidden


def _same_text(encoding: Encoding, first: Encoding) -> np.ndarray:
    """Which tokens hold a character of one that is hidden in `first`, the same text in other tokens."""
    hidden = _chosen(first)
    spans = [span for span, hide in zip(first.offsets[:WINDOW], hidden, strict=True) if hide]
    covered = np.zeros(
        max([end for _, end in [*first.offsets, *encoding.offsets]], default=0) + 1, dtype=bool
    )
    for start, end in spans:
        covered[start:end] = True
    own = zip(encoding.offsets[:WINDOW], encoding.special_tokens_mask[:WINDOW], strict=True)
    return np.array([not special and covered[start:end].any() for (start, end), special in own], dtype=bool)


def _hide(encoding: Encoding, hidden: np.ndarray, mask: int) -> Tokens:
    ids = np.array(encoding.ids[:WINDOW])
    shown = np.where(hidden, mask, ids)
    return Tokens(shown.tolist(), encoding.type_ids[:WINDOW], ids.tolist(), hidden.tolist())


def causal(rows: Sequence[Row], tools: Tools) -> Batch:
    """Each token but the first is to be found at the position before it.

    Texts longer than a window are read in windows that overlap by half, and a token is judged in the
    first window that has it, so that it has half a window of context at least. Where the model that is
    compared with has another tokenizer, the text of its first token is not judged here either.
    """
    window = min(WINDOW, tools.text.max_length)
    texts = [_joined(pieces) for pieces in tools.text.windows(rows)]
    firsts = [1] * len(texts)
    if tools.original is not None:
        ends = [_joined(pieces).first_end for pieces in tools.original.text.windows(rows)]
        firsts = [text.after(end) for text, end in zip(texts, ends, strict=True)]
    parts = [_slide(text.ids, window, first) for text, first in zip(texts, firsts, strict=True)]
    owners = [row for row, tokens in enumerate(parts) for _ in tokens]
    return _batch(rows, [one for tokens in parts for one in tokens], tools, owners=owners)


@dataclass(frozen=True)
class _Text:
    """The tokens of a whole text, and where each ends in it; `opening` of them were put before it."""

    ids: list[int]
    ends: list[int]
    opening: int

    @property
    def first_end(self) -> int:
        """Where the first token ends, which no model is asked for."""
        return 0 if self.opening or not self.ends else self.ends[0]

    def after(self, place: int) -> int:
        """The first token to be judged, if the text up to `place` is not."""
        return max(1, sum(end <= place for end in self.ends) if not self.opening else 1)


def _joined(pieces: Sequence[Encoding]) -> _Text:
    """A text that the tokenizer cut in pieces: what begins the first, then all that is the text's own."""
    first = pieces[0]
    opening = next((at for at, special in enumerate(first.special_tokens_mask) if not special), 0)
    ids, ends = list(first.ids[:opening]), [0] * opening
    for piece in pieces:
        for token, (_, end), special in zip(piece.ids, piece.offsets, piece.special_tokens_mask, strict=True):
            if not special:
                ids.append(token)
                ends.append(end)
    return _Text(ids, ends, opening)


def _slide(ids: Sequence[int], window: int, first: int = 1) -> list[Tokens]:
    """Windows over a text, of which the tokens from `first` on are judged once each."""
    found, judged = [], first
    for start in range(0, max(len(ids) - 1, 0), max(window // 2, 1)):
        part = list(ids[start : start + window])
        new = [start + at + 1 >= judged for at in range(len(part) - 1)]
        found.append(Tokens(part, [0] * len(part), [*part[1:], 0], [*new, False]))
        judged = max(judged, start + len(part))
        if start + len(part) >= len(ids):
            break
    return found


def _batch(rows: Sequence[Row], tokens: Sequence[Tokens], tools: Tools, *, owners: Sequence[int]) -> Batch:
    text = tools.text
    feeds = text.batch(cast("Any", tokens)) if tokens else {}
    shape = feeds["input_ids"].shape if tokens else (0, 0)
    scored, targets = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int64)
    for row, one in enumerate(tokens):
        start = shape[1] - len(one) if text.settings.pad_left else 0
        scored[row, start : start + len(one)] = one.hidden
        targets[row, start : start + len(one)] = one.targets
    return Batch(
        rows=rows,
        feeds=feeds,
        tools=tools,
        owners=owners,
        scored=scored,
        targets=targets,
    )
