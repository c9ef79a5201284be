"""Sound to the arrays of audio models: raw waveforms, Whisper's log-mel, Kaldi's filter banks."""

from __future__ import annotations

from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from compress.core.errors import CompressError
from compress.core.media_files import read_sound
from compress.runtime.preprocess import refuse_unknown
from compress.runtime.processors import processor_settings, unsupported
from compress.runtime.spectral import mel_filters, power_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.graph.session import TensorSpec

SECONDS_PER_TOKEN = 0.02
"""What stands for a token when sound of some length is timed: a frame of wav2vec 2.0 and its kin."""

_WAVES = "wav2vec2 hubert wavlm sew sew-d unispeech unispeech-sat data2vec-audio wav2vec2-conformer"
KINDS = {
    **dict.fromkeys(_WAVES.split(), "Wav2Vec2"),
    **{"whisper": "Whisper", "audio-spectrogram-transformer": "AST", "wav2vec2-bert": "SeamlessM4T"},
}
"""The extractor that a model type is used with, for folders whose file does not name it."""


class Features(Protocol):
    """One way from waveforms to a batch of features."""

    mixed_lengths: bool

    def batch(self, waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The features and the mask (batch, frames or samples) of float32 waves (T,)."""


class AudioPreprocessor:
    """Rows with `audio` (a path, bytes, mono float samples, or (samples, rate)) to features."""

    modality = "audio"

    def __init__(self, features: Features, *, rate: int, inputs: Sequence[TensorSpec]) -> None:
        self.rate = rate
        self.mixed_lengths = features.mixed_lengths
        self._features = features
        self._inputs = tuple(inputs)

    def feeds(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """`input_values` or `input_features`, and `attention_mask` where the graph has it.

        Raises:
            CompressError: a sound cannot be read.
        """
        features, mask = self._features.batch([read_audio(row["audio"], self.rate) for row in rows])
        return {
            spec.name: (mask if spec.name == "attention_mask" else features).astype(spec.dtype)
            for spec in self._inputs
        }

    def synthetic(self, *, batch: int, length: int) -> dict[str, np.ndarray]:
        """A gliding tone under a slow beat, through the extractor; `length` counts frames of 20 ms, and
        is ignored by models that take sound of one length.
        """
        time = np.arange(round(length * SECONDS_PER_TOKEN * self.rate)) / self.rate
        waves = [np.sin(900 * time * (1 + 0.1 * time + 0.05 * row)) for row in range(batch)]
        return self.feeds([{"audio": 0.3 * wave * np.sin(9 * time + 1) ** 2} for wave in waves])


def load_audio(folder: Path, *, inputs: Sequence[TensorSpec]) -> AudioPreprocessor:
    """The feature extractor whose preprocessor_config.json (or processor_config.json) is in `folder`.

    Raises:
        CompressError: it is missing or of an unsupported kind, or an input cannot be filled.
    """
    refuse_unknown(inputs, {"input_values", "input_features", "attention_mask"})
    kind, settings = processor_settings(folder, part="feature_extractor", known=KINDS)
    kinds: dict[str, Callable[[Mapping[str, Any]], Features]] = {
        "Wav2Vec2": Waveform,
        "Whisper": LogMel,
        "AST": FilterBank,
        "SeamlessM4T": StackedFilterBank,
    }
    if kind not in kinds:
        raise unsupported(kind, kinds)
    settings = {name: value for name, value in settings.items() if value is not None}
    return AudioPreprocessor(
        kinds[kind](settings), rate=int(settings.get("sampling_rate", 16000)), inputs=inputs
    )


def read_audio(value: Any, rate: int) -> np.ndarray:
    """One channel of float32 samples in [-1, 1] at `rate` Hz: channels averaged, resampled.

    Raises:
        CompressError: the file cannot be read, or holds no sound.
    """
    if isinstance(value, tuple):
        return resampled(np.asarray(value[0], dtype=np.float32), int(value[1]), rate)
    if isinstance(value, np.ndarray | list):
        return np.asarray(value, dtype=np.float32)
    samples, found = read_sound(value if isinstance(value, bytes) else Path(value))
    if not len(samples):
        raise CompressError("data-unreadable", f"{value} holds no sound", hint="remove the file")
    return resampled(samples.mean(axis=1), found, rate)


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """`samples` (T,) at another rate, by a polyphase filter."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    return np.asarray(resample_poly(samples, wanted // common, rate // common), dtype=np.float32)


class Waveform:
    """Wav2Vec2FeatureExtractor: the samples, with mean 0 and variance 1 over the sound itself."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._normalize = settings.get("do_normalize", True)
        self._padding = float(settings.get("padding_value", 0.0))
        # Models with group norm were trained without a mask, so padding changes what they say.
        self.mixed_lengths = bool(settings.get("return_attention_mask", False))

    def batch(self, waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Samples and mask, each (batch, longest)."""
        if self._normalize:
            waves = [(wave - wave.mean()) / np.sqrt(wave.var() + 1e-7) for wave in waves]
        samples, mask = padded(waves, value=self._padding)
        return samples, (mask if self.mixed_lengths else np.ones_like(mask))


class LogMel:
    """WhisperFeatureExtractor: log10 of mel power, 30 s whatever the sound's length (Radford 2022)."""

    mixed_lengths = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        rate, window = settings.get("sampling_rate", 16000), settings.get("n_fft", 400)
        self._hop = settings.get("hop_length", 160)
        self._samples = settings.get("chunk_length", 30) * rate
        self._window = np.hanning(window + 1)[:-1]
        self._bins = window // 2 + 1
        mels = settings.get("feature_size", 80)
        self._filters = mel_filters(bins=self._bins, mels=mels, low=0, high=8000, rate=rate, scale="slaney")

    def batch(self, waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features (batch, mels, frames) and a mask (batch, frames) of the frames with sound."""
        frames = self._samples // self._hop
        mask = np.zeros((len(waves), frames), dtype=np.int64)
        for row, wave in enumerate(waves):
            mask[row, : -(-len(wave) // self._hop)] = 1
        return np.stack([self._one(wave) for wave in waves]), mask

    def _one(self, wave: np.ndarray) -> np.ndarray:
        wave = np.pad(wave[: self._samples], (0, max(self._samples - len(wave), 0)))
        wave = np.pad(wave, len(self._window) // 2, mode="reflect")
        power = power_frames(wave, self._window, hop=self._hop, bins=self._bins)[:-1]
        mels = np.log10(np.maximum(power @ self._filters, 1e-10)).T  # (mels, frames)
        mels = np.maximum(mels, mels.max() - 8.0)
        return np.asarray((mels + 4.0) / 4.0, dtype=np.float32)


class FilterBank:
    """ASTFeatureExtractor: Kaldi's log filter bank, cut or padded to `max_length` frames."""

    mixed_lengths = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._frames = settings.get("max_length", 1024)
        self._normalize = settings.get("do_normalize", True)
        self._mean, self._std = settings.get("mean", -4.2677393), settings.get("std", 4.5689974)
        rate, mels = settings.get("sampling_rate", 16000), settings.get("num_mel_bins", 128)
        self._filters = kaldi_filters(rate, mels)

    def batch(self, waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features (batch, frames, mels), and a mask of ones."""
        features = np.stack([self._one(wave) for wave in waves])
        return features, np.ones(features.shape[:2], dtype=np.int64)

    def _one(self, wave: np.ndarray) -> np.ndarray:
        bank = kaldi_filter_bank(wave, np.hanning(400), self._filters)[: self._frames]
        bank = np.pad(bank, ((0, self._frames - len(bank)), (0, 0)))
        return (bank - self._mean) / (self._std * 2) if self._normalize else bank


class StackedFilterBank:
    """SeamlessM4TFeatureExtractor: Kaldi's log filter bank, normalized, frames stacked by two."""

    mixed_lengths = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._stride = settings.get("stride", 2)
        self._padding = float(settings.get("padding_value", 0.0))
        rate, mels = settings.get("sampling_rate", 16000), settings.get("num_mel_bins", 80)
        self._filters = kaldi_filters(rate, mels)
        self._window = np.hanning(400) ** 0.85  # Povey's window

    def batch(self, waves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features (batch, frames / stride, mels * stride) and mask (batch, frames / stride)."""
        features, mask = padded([self._one(wave) for wave in waves], value=self._padding, multiple=2)
        length = features.shape[1] // self._stride * self._stride
        stacked = features[:, :length].reshape(len(features), length // self._stride, -1)
        return stacked, mask[:, :length][:, 1 :: self._stride]

    def _one(self, wave: np.ndarray) -> np.ndarray:
        bank = kaldi_filter_bank(wave * 2**15, self._window, self._filters).astype(np.float64)
        return np.asarray((bank - bank.mean(axis=0)) / np.sqrt(bank.var(axis=0, ddof=1) + 1e-7))


def kaldi_filters(rate: int, mels: int) -> np.ndarray:
    """Kaldi's filters (257, mels) from 20 Hz to half the rate."""
    return mel_filters(bins=257, mels=mels, low=20, high=rate // 2, rate=rate, scale="kaldi")


def kaldi_filter_bank(wave: np.ndarray, window: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """Natural log of mel power (frames, mels) float32: 25 ms frames every 10 ms at 16 kHz.

    Raises:
        CompressError: the sound is shorter than one frame.
    """
    if len(wave) < len(window):
        message = f"a sound of {len(wave)} samples is shorter than one frame of {len(window)}"
        raise CompressError("data-unreadable", message, hint="remove it")
    power = power_frames(wave, window, hop=160, bins=len(filters), preemphasis=0.97)
    return np.asarray(np.log(np.maximum(power @ filters, 1.192092955078125e-07)), dtype=np.float32)


def padded(arrays: Sequence[np.ndarray], *, value: float, multiple: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (T, ...) as one (batch, longest, ...), filled with `value`, and its mask (batch, longest)."""
    longest = -(-max(len(array) for array in arrays) // multiple) * multiple
    batch = np.full((len(arrays), longest, *arrays[0].shape[1:]), value, dtype=np.float32)
    mask = np.zeros((len(arrays), longest), dtype=np.int64)
    for row, array in enumerate(arrays):
        batch[row, : len(array)] = array
        mask[row, : len(array)] = 1
    return batch, mask
