"""Which of a graph's outputs is which, by the names that exporters give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


def logits_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The output `logits`, or the only or first one."""
    return outputs["logits"] if "logits" in outputs else next(iter(outputs.values()))


def hidden_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The hidden states of the last layer: by name, else the first output with three or more axes."""
    for name in ("token_embeddings", "last_hidden_state"):
        if name in outputs:
            return outputs[name]
    return next((array for array in outputs.values() if array.ndim > 2), next(iter(outputs.values())))
