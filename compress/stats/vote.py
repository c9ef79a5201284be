"""Accuracy of the majority of several samples, and how often one of them is right."""

from __future__ import annotations

import math

import numpy as np

NO_ANSWER = -1
_ORDERS = 64


def majority_accuracy(answers: np.ndarray, right: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """How often the most frequent answer among k samples is right, (items, K) for k = 1 ... K.

    `answers` (items, K) numbers what each sample says, `NO_ANSWER` where it says nothing, which is no vote;
    `right` (items, K) tells which samples are. A tie goes to the answer that came first. Each figure is the
    mean over orders of an item's samples in which each is at each place equally often (random ones and their
    rotations), so that it does not hang on which came first, and is exact for one sample.

    Source: Wang et al., "Self-consistency improves chain of thought reasoning in language models" (2023).
    """
    random = np.random.default_rng(seed)
    return np.stack([_item(own, good, random) for own, good in zip(answers, right, strict=True)])


def _item(answers: np.ndarray, right: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One item's (K,)."""
    samples = len(answers)
    if (answers == NO_ANSWER).all():
        return np.zeros(samples)
    names, codes = np.unique(answers, return_inverse=True)
    orders = _orders(samples, random)  # (R, K)
    votes = codes[orders][..., None] == np.arange(len(names))  # (R, K, A)
    votes &= (names != NO_ANSWER)[None, None, :]
    counts = np.cumsum(votes, axis=1)
    came = np.where(counts > 0, np.argmax(votes, axis=1)[:, None, :], samples)  # the place of its first vote
    chosen = np.argmax(counts * (samples + 1) - came, axis=2)  # (R, K)
    good = np.array([bool(right[codes == code].any()) for code in range(len(names))])
    voted = counts.sum(axis=2) > 0
    return np.asarray((good[chosen] & voted).mean(axis=0))


def _orders(samples: int, random: np.random.Generator) -> np.ndarray:
    """At least 64 orders, (R, K), a multiple of K of them."""
    rotations = (np.arange(samples)[:, None] + np.arange(samples)) % samples  # (K, K)
    count = math.ceil(_ORDERS / samples)
    return np.concatenate([random.permutation(samples)[rotations] for _ in range(count)])


def coverage(right: np.ndarray) -> np.ndarray:
    """How often at least one of k samples is right, (items, K): what a perfect judge of answers would reach.

    Unbiased: of an item with c right ones among n, 1 - C(n - c, k) / C(n, k) (Chen et al., "Evaluating large
    language models trained on code", 2021, equation 1).
    """
    items, samples = right.shape
    found = np.empty((items, samples))
    for row, count in enumerate(right.sum(axis=1)):
        wrong = samples - int(count)
        found[row] = [1 - math.comb(wrong, k) / math.comb(samples, k) for k in range(1, samples + 1)]
    return found


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of (n,) with Student's two-sided 95% interval; without width for less than two."""
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return mean, mean, mean
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return mean, mean - half, mean + half
