"""Classes and their probabilities from logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def scores(logits: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    """What a model says about each class, (B, C), by the problem that config.json states.

    Softmax over exclusive classes; a sigmoid each where several may hold, and for one lone logit; of a
    regression the value itself. The same choice as transformers' pipelines make.
    """
    problem = config.get("problem_type")
    if problem == "regression":
        return logits.astype(np.float64)
    if problem == "multi_label_classification" or logits.shape[-1] == 1:
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))
    return softmax(logits)


def best_classes(logits: np.ndarray, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The likeliest class of each row of logits (B, C), as `{"label", "score"}`."""
    names = label_names(config)
    values = scores(logits, config)
    best = values.argmax(axis=-1)
    return [
        {"label": names.get(int(index), f"LABEL_{index}"), "score": float(row[index])}
        for row, index in zip(values, best, strict=True)
    ]


def label_names(config: Mapping[str, Any]) -> dict[int, str]:
    """`id2label` of config.json with its keys as numbers."""
    return {int(index): str(name) for index, name in (config.get("id2label") or {}).items()}
