"""A decoder's graph against its module: the prompt at once, then token by token from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.graph.cached import first_step, next_step
from compress.graph.parity import Parity, compare_arrays

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
    seed: int = 1,
) -> list[Parity]:
    """Compare logits of two texts of random tokens: `logits` gives those (B, T, V) of the module for tokens
    (B, T), all at once and without a cache, so that the graph's cache is compared with what it stands for.

    `positions` is how many tokens the model takes.

    Raises:
        InternalError: they differ by more than rounding.
    """
    prompt = min(PROMPT, max(positions // 2, 1))
    total = min(prompt + STEPS, positions)
    ids = np.random.default_rng(seed).integers(0, vocabulary, (2, total))
    expected = logits(ids)
    outputs = runner.run(first_step(runner.inputs, ids[:, :prompt]))
    lines = [compare_arrays("logits of the prompt", outputs["logits"], expected[:, :prompt])]
    steps = []
    for past in range(prompt, total):
        outputs = runner.run(next_step(runner.inputs, ids[:, past : past + 1], outputs, past=past))
        steps.append(outputs["logits"])
    if steps:
        found = np.concatenate(steps, axis=1)
        lines.append(compare_arrays(f"logits of {len(steps)} cached steps", found, expected[:, prompt:]))
    return lines
