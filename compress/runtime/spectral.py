"""Short-time spectra and mel filters in NumPy, as the audio models' feature extractors compute them."""

from __future__ import annotations

from typing import Literal

import numpy as np

MelScale = Literal["slaney", "kaldi"]


def power_frames(
    samples: np.ndarray, window: np.ndarray, *, hop: int, bins: int, preemphasis: float = 0.0
) -> np.ndarray:
    """Power spectra (frames, bins) float64 of `samples` (T,), one frame every `hop` samples.

    With `preemphasis` each frame loses its mean and is pre-emphasized first, as in Kaldi.
    """
    samples = samples.astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(samples, len(window))[::hop]  # (frames, window)
    if preemphasis:
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = frames - preemphasis * before
    spectra = np.fft.rfft(frames * window, n=2 * (bins - 1), axis=1)
    return np.asarray(np.abs(spectra) ** 2)


def mel_filters(*, bins: int, mels: int, low: float, high: float, rate: int, scale: MelScale) -> np.ndarray:
    """Triangular filters (bins, mels) between `low` and `high` Hz.

    `slaney`: triangles in Hz of equal area (Slaney's Auditory Toolbox, 1998). `kaldi`: triangles of
    height one on Kaldi's mel scale.
    """
    edges = np.linspace(_to_mel(low, scale), _to_mel(high, scale), mels + 2)
    at = np.linspace(0, rate / 2, bins)
    if scale == "kaldi":
        return _triangles(_to_mel(at, scale), edges)
    hertz = _from_mel(edges)
    return np.asarray(_triangles(at, hertz) * (2.0 / (hertz[2:] - hertz[:-2])))


def _triangles(at: np.ndarray, edges: np.ndarray) -> np.ndarray:
    widths = np.diff(edges)
    distance = edges[None, :] - at[:, None]  # (bins, mels + 2)
    rising, falling = -distance[:, :-2] / widths[:-1], distance[:, 2:] / widths[1:]
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


def _to_mel(hertz: float | np.ndarray, scale: MelScale) -> np.ndarray:
    hertz = np.asarray(hertz, dtype=np.float64)
    if scale == "kaldi":
        return np.asarray(1127.0 * np.log1p(hertz / 700.0))
    linear = 3.0 * hertz / 200.0
    return np.where(hertz < 1000, linear, 15 + np.log(np.maximum(hertz, 1) / 1000) * 27 / np.log(6.4))


def _from_mel(mels: np.ndarray) -> np.ndarray:
    """Slaney's scale back to Hz: linear to 1,000 Hz, logarithmic above."""
    return np.where(mels < 15, 200.0 * mels / 3.0, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
