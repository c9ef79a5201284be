"""Classes and their probabilities from logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.runtime.files import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_RERANKER = "sentence_transformers"
"""The key of config.json under which sentence-transformers keeps settings of its own."""


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
    if problem == "regression" or (logits.shape[-1] == 1 and _activation(config).endswith(".Identity")):
        return logits.astype(np.float64)
    if problem == "multi_label_classification" or logits.shape[-1] == 1:
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))
    return softmax(logits)


def with_activation(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Add to a config.json what `config_sentence_transformers.json` says becomes of a reranker's logit."""
    activation = read_settings(folder / "config_sentence_transformers.json").get("activation_fn")
    return {**config, _RERANKER: {"activation_fn": activation}} if activation else dict(config)


def _activation(config: Mapping[str, Any]) -> str:
    """Name the function that sentence-transformers applies to a reranker's logit, if any."""
    settings = config.get(_RERANKER)
    named = settings.get("activation_fn") if isinstance(settings, dict) else None
    return str(named or config.get("sbert_ce_default_activation_function") or "")


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
