"""The activations of sentence-transformers' Dense modules, in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Callable


def activation_named(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Look up an activation by the name of torch's class.

    Raises:
        CompressError: There is none of that name.
    """
    kinds: dict[str, Callable[[np.ndarray], Any]] = {
        "Identity": lambda x: x,
        "Tanh": np.tanh,
        "ReLU": lambda x: np.maximum(x, 0),
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "SiLU": lambda x: x / (1 + np.exp(-x)),
        "GELU": _gelu,
    }
    kind = name.rpartition(".")[2]
    if kind not in kinds:
        message = f"a Dense module has the activation '{name}', which is not supported"
        raise CompressError("module-unsupported", message, hint=f"supported: {', '.join(kinds)}")
    return kinds[kind]


def _gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return np.asarray(0.5 * x * (1 + erf(x / np.sqrt(2))))
