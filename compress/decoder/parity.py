"""A decoder's graph against its module: the prompt at once, then token by token from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import InternalError
from compress.graph.cached import first_step, next_step
from compress.graph.parity import RELATIVE, Parity, compare_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.graph.ort import OrtRunner

PROMPT, STEPS = 24, 32
"""Tokens of the prompt and steps after it."""


def compare_cached(
    runner: OrtRunner,
    logits: Callable[[np.ndarray], np.ndarray],
    *,
    vocabulary: int,
    positions: int,
    texts: int = 1,
    relative: float = RELATIVE,
) -> list[Parity]:
    """Compare logits of two texts of random tokens: `logits` gives those (B, T, V) of the module for tokens
    (B, T), all at once and without a cache, so that the graph's cache is compared with what it stands for.

    `positions` is how many tokens the model takes. Where tokens are sent to experts, two whose scores are
    equal but for rounding may change places, in one text of some: then the graph is right if it agrees on
    another, and up to `texts` pairs are tried.

    Raises:
        InternalError: they differ by more than rounding.
    """
    prompt = min(PROMPT, max(positions // 2, 1))
    total = min(prompt + STEPS, positions)
    for seed in range(1, texts + 1):
        ids = np.random.default_rng(seed).integers(0, vocabulary, (2, total))
        try:
            return compare_tokens(runner, ids, logits(ids), prompt=prompt, relative=relative)
        except InternalError:
            if seed == texts:
                raise
    raise ValueError("no texts")


def compare_tokens(
    runner: OrtRunner, ids: np.ndarray, expected: np.ndarray, *, prompt: int, relative: float
) -> list[Parity]:
    """Compare logits after tokens (B, T), of which the first `prompt` are read at once, with `expected`
    (B, T, V), of whose largest value `relative` may differ.

    Raises:
        InternalError: they differ by more.
    """
    outputs = runner.run(first_step(runner.inputs, ids[:, :prompt]))
    name = "logits of the prompt"
    lines = [compare_arrays(name, outputs["logits"], expected[:, :prompt], relative=relative)]
    steps = []
    for past in range(prompt, ids.shape[1]):
        outputs = runner.run(next_step(runner.inputs, ids[:, past : past + 1], outputs, past=past))
        steps.append(outputs["logits"])
    if steps:
        name, found = f"logits of {len(steps)} cached steps", np.concatenate(steps, axis=1)
        lines.append(compare_arrays(name, found, expected[:, prompt:], relative=relative))
    return lines
