"""The accuracy level of quantized products, chosen by what each costs and saves on this machine.

Level 1 computes products in fp32; level 4 lets kernels round activations to 8 bits by block. Both graphs
answer the same calibration text, and the divergence of level 4 from level 1 is what its rounding adds. Level
0 is not tried: its answers were level 1's to the last bit where both were seen (AVX-512).

SmolLM2-135M in 4 bits (blocks of 32, two cores with AVX-512 VNNI): 9.42 ms a token at level 4, 14.0 at level
1; prompts of 64 tokens in 133 and 160 ms; level 4 adds 0.0016 nats a token.

One graph is open at a time, each twice in turn: of a large model two would not fit.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from compress.graph.cached import first_step, next_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.graph.ort import OrtRunner

EXACT, ROUNDED = 1, 4
SAMPLES, LENGTH = 4, 64
"""Windows of calibration text and their tokens."""

LIMIT = 0.01
"""Nats a token that rounding activations may add: about 1% of the perplexity."""

_FASTER = 1.1
"""How much faster level 1 must be in decoding to be kept though level 4 loses nothing: less is noise."""

_TURNS, _ROUNDS, _STEPS = 2, 2, 4


@dataclass(frozen=True)
class Level:
    """What one level costs: milliseconds of a token and of a prompt, nats by which it departs from fp32."""

    level: int
    decode_ms: float
    prefill_ms: float
    divergence: float = 0.0


def measure(opened: Callable[[int], OrtRunner], windows: np.ndarray) -> list[Level]:
    """Answer windows of tokens (windows, T) at both levels, and time a prompt and the tokens after it;
    `opened` gives the graph at a level.
    """
    answers: dict[int, np.ndarray] = {}
    taken: dict[int, list[tuple[float, float]]] = {EXACT: [], ROUNDED: []}
    for level in (EXACT, ROUNDED) * _TURNS:
        runner = opened(level)
        taken[level] += _times(runner, windows[:1])
        if level not in answers:  # they are the same in every turn
            answers[level] = _log_chances(runner, windows)
        del runner
    return [
        Level(
            level,
            decode_ms=median(one[0] for one in samples),
            prefill_ms=median(one[1] for one in samples),
            divergence=_divergence(answers[EXACT], answers[level]),
        )
        for level, samples in taken.items()
    ]


def _times(runner: OrtRunner, ids: np.ndarray) -> list[tuple[float, float]]:
    """Milliseconds of a token and of the prompt (1, T), once a round."""
    prefill, decode = _timers(runner, ids)
    return [(_ms(decode) / _STEPS, _ms(prefill)) for _ in range(_ROUNDS)]


def choose(levels: list[Level]) -> int:
    """Level 4, unless it adds more than `LIMIT` or fp32 is clearly faster here."""
    by = {one.level: one for one in levels}
    slower = by[ROUNDED].decode_ms > _FASTER * by[EXACT].decode_ms
    return EXACT if slower or by[ROUNDED].divergence > LIMIT else ROUNDED


def sentence(levels: list[Level], chosen: int) -> str:
    """What was measured, for a person."""
    each = ", ".join(f"level {one.level}: {one.decode_ms:.3g} ms a token" for one in levels)
    added = max(one.divergence for one in levels)
    return f"accuracy_level {chosen} was chosen ({each}; activations in 8 bits add {added:.2g} nats a token)"


def _log_chances(runner: OrtRunner, windows: np.ndarray) -> np.ndarray:
    """Logarithms of chances (windows, T, V)."""
    found = runner.run(first_step(runner.inputs, windows), only=["logits"])["logits"].astype(np.float32)
    found -= found.max(axis=-1, keepdims=True)
    found -= np.log(np.exp(found).sum(axis=-1, keepdims=True))
    return found


def _divergence(exact: np.ndarray, other: np.ndarray) -> float:
    """Mean KL divergence in nats a token."""
    return float((np.exp(exact) * (exact - other)).sum(axis=-1).mean())


def _timers(runner: OrtRunner, ids: np.ndarray) -> tuple[Callable[[], object], Callable[[], object]]:
    """Calls that read the prompt (1, T) and that take the steps after it; both ran once."""
    feeds = first_step(runner.inputs, ids)
    outputs = runner.run(feeds)
    step = next_step(runner.inputs, ids[:, -1:], outputs, past=ids.shape[1])

    def decode() -> object:
        return [runner.run(step, only=["logits"]) for _ in range(_STEPS)]

    decode()
    return lambda: runner.run(feeds, only=["logits"]), decode


def _ms(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)
