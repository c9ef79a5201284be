"""How far the keys and values of an int8 cache are from the fp32 graph's, layer by layer.

Errors are in steps: a channel's largest value in calibration text, over 127. A layer rounds to whole steps, a
mean square of 1/12 (0.29 steps), and besides has what the layers before it let its input drift: 0.65 steps
after 30 layers of SmolLM2-135M. Scales 4 times too wide are 1.15 steps of rounding wherever they stand, which
the logits of a deep model do not show; so each layer is held against those before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Arrays = Mapping[str, np.ndarray]

_ROUNDING = 1 / 12
_OWN, _GROWTH = 0.5, 1.5
"""Square steps that a layer may add, and by what its error may exceed the largest before it. Measured on
SmolLM2-135M: at most 0.08 added (0.14 by nine tiny architectures); scales times 4 add 1.25."""


def departures(exact: Arrays, found: Arrays, steps: Arrays) -> dict[str, float]:
    """Square errors in steps of keys and values (B, heads, T, width) by output: the mean over heads and
    channels, of the middle token. Why not of all: where experts are chosen, some tokens get other ones.

    `steps` are (1, heads, 1, width).
    """
    return {
        name: float(np.median((((found[name] - exact[name]) / steps[name]) ** 2).mean(axis=(1, 3))))
        for name in exact
    }


def refuse_departed(errors: Mapping[str, float]) -> None:
    """Refuse a layer whose square error (see `departures`) is more than rounding and drift.

    Raises:
        InternalError: one departs.
    """
    largest = {"key": _ROUNDING, "value": _ROUNDING}
    for name, error in sorted(errors.items(), key=lambda one: int(one[0].split(".")[1])):
        part = name.rpartition(".")[2]
        if not error <= _OWN + _GROWTH * largest[part]:  # NaN is not
            message = f"{name} in int8 is {error**0.5:.2g} steps from the fp32 graph's, more than rounding is"
            raise InternalError(
                "parity", message, hint="please report this model: the cache's scales are wrong"
            )
        largest[part] = max(largest[part], error)
