"""From hidden states of tokens to one vector, as sentence-transformers' Pooling does it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""In the order in which several are concatenated."""


def pool(
    hidden: np.ndarray, mask: np.ndarray, modes: Sequence[str] = ("mean",), *, skipped: int = 0
) -> np.ndarray:
    """Pool hidden states over the tokens of each text.

    Args:
        hidden: float (B, T, D).
        mask: int (B, T), 1 where a token is not padding.
        modes: how to pool; the vectors of several are concatenated.
        skipped: the tokens at the start of each text that do not count: those of a prompt.

    Returns:
        float32 (B, D * modes); zeros where no text has any token, as of empty texts without special ones.

    Raises:
        CompressError: a mode is unknown.
    """
    refuse_unknown_modes(modes)
    if hidden.shape[1] == 0:
        return np.zeros((len(hidden), hidden.shape[2] * len(modes)), dtype=np.float32)
    kinds: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "cls": _first,
        "max": _max,
        "mean": lambda hidden, mask: _sum(hidden, mask) / _counts(mask),
        "mean_sqrt_len_tokens": lambda hidden, mask: _sum(hidden, mask) / np.sqrt(_counts(mask)),
        "weightedmean": partial(_weighted, first=mask.argmax(axis=1)),
        "lasttoken": _last,
    }
    hidden = hidden.astype(np.float32, copy=False)
    mask = _without_prompt(mask, skipped) if skipped else mask
    return np.concatenate([kinds[mode](hidden, mask) for mode in modes], axis=-1).astype(np.float32)


def refuse_unknown_modes(modes: Sequence[str]) -> None:
    """Refuse ways of pooling that are not known.

    Raises:
        CompressError: there is one.
    """
    for mode in modes:
        if mode not in MODES:
            message = f"no pooling '{visible(mode)}'"
            raise CompressError("module-unsupported", message, hint=f"known: {', '.join(MODES)}")


def pooling_modes(config: Mapping[str, object]) -> tuple[str, ...]:
    """The modes in a Pooling module's config.json: `pooling_mode`, or the flags of older versions."""
    written = config.get("pooling_mode")
    if isinstance(written, str):
        return (written,)
    if isinstance(written, list):
        return tuple(str(mode) for mode in written)
    flags = {
        "cls": "pooling_mode_cls_token",
        "max": "pooling_mode_max_tokens",
        "mean": "pooling_mode_mean_tokens",
        "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
        "weightedmean": "pooling_mode_weightedmean_tokens",
        "lasttoken": "pooling_mode_lasttoken",
    }
    return tuple(mode for mode in MODES if config.get(flags[mode])) or ("mean",)


def _sum(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    # What a model says of padding may be anything, even NaN.
    hidden = np.where(mask[..., None] > 0, hidden, np.float32(0))
    return np.asarray(np.einsum("btd,bt->bd", hidden, mask.astype(np.float32)))


def _counts(mask: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(mask.sum(axis=1, keepdims=True), 1e-9), dtype=np.float32)  # (B, 1)


def _first(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(hidden[np.arange(len(hidden)), mask.argmax(axis=1)])


def _last(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    last = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
    return np.asarray(hidden[np.arange(len(hidden)), last])


def _max(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(mask[..., None] > 0, hidden, -np.inf).max(axis=1))


def _weighted(hidden: np.ndarray, mask: np.ndarray, *, first: np.ndarray) -> np.ndarray:
    """Weigh tokens 1, 2, ... from the `first` (B,) of each text, a prompt's included (Muennighoff 2022)."""
    weights = (np.arange(1, mask.shape[1] + 1) - first[:, None]) * mask
    return np.asarray(_sum(hidden, weights) / _counts(weights))


def _without_prompt(mask: np.ndarray, skipped: int) -> np.ndarray:
    """Take the first `skipped` tokens that are not padding out of a mask (B, T)."""
    start = mask.argmax(axis=1)[:, None] + skipped
    return np.asarray(np.where(np.arange(mask.shape[1])[None, :] < start, 0, mask))
