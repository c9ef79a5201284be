"""An exported graph against the module that it came from, on the same inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.graph.session import Runner

ABSOLUTE = 1e-4
RELATIVE = 1e-4
"""Two fp32 implementations of a deep network differ by rounding alone: 2e-6 was seen over 21
architectures, so these leave room for models with large activations and none for a wrong graph."""


@dataclass(frozen=True)
class Parity:
    """The largest differences of one output at one shape."""

    output: str
    shape: tuple[int, ...]
    largest: float
    """Largest absolute difference."""
    scale: float
    """Largest absolute value of the module's output."""
    relative: float = RELATIVE
    """The share of `scale` that may differ."""

    @property
    def agrees(self) -> bool:
        """Whether the difference is within rounding."""
        return self.largest <= ABSOLUTE + self.relative * self.scale


def compare(
    runner: Runner, feeds: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> list[Parity]:
    """Run the graph on `feeds` and compare each output with what the module gave.

    Positions that the feeds' `attention_mask` (B, T) excludes are not compared in outputs (B, T, ...):
    what a model answers for padding is undefined, and attention kernels differ in it.

    Raises:
        InternalError: an output is missing, has another shape, or differs by more than rounding.
    """
    found = runner.run(feeds)
    real = feeds.get("attention_mask")
    return [_agreeing(_line(name, found.get(name), value, real)) for name, value in expected.items()]


def compare_arrays(
    name: str, found: np.ndarray, expected: np.ndarray, *, relative: float = RELATIVE
) -> Parity:
    """Compare one output with what the module gave, of whose largest value `relative` may differ.

    Raises:
        InternalError: it has another shape, or differs by more than rounding.
    """
    return _agreeing(replace(_line(name, found, expected, None), relative=relative))


def _agreeing(line: Parity) -> Parity:
    if not line.agrees:
        message = f"output '{line.output}' at {line.shape} differs by {line.largest:.2g} from the module"
        raise InternalError("parity", message, hint="please report this model: the export is wrong")
    return line


def _line(name: str, found: np.ndarray | None, expected: np.ndarray, real: np.ndarray | None) -> Parity:
    if found is None or found.shape != expected.shape:
        other = "nothing" if found is None else str(found.shape)
        message = f"output '{name}': expected shape {expected.shape}, found {other}"
        raise InternalError("parity", message, hint="please report this model: the export is wrong")
    shape = expected.shape
    if real is not None and shape[:2] == real.shape:
        found, expected = found[real > 0], expected[real > 0]
    if not np.isfinite(found).all() == np.isfinite(expected).all():
        raise InternalError("parity", f"output '{name}' is not finite", hint="please report this model")
    finite = np.isfinite(expected) & np.isfinite(found)
    largest = float(np.abs(found[finite] - expected[finite]).max(initial=0.0))
    return Parity(name, shape, largest, float(np.abs(expected[finite]).max(initial=0.0)))
