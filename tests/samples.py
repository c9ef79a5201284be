"""Small real data for tests: sentences, scikit-learn's digits as pictures, tones as sound."""

from __future__ import annotations

import csv
import struct
import wave
from pathlib import Path

import numpy as np

from tests.tiny import TEXT


def texts(path: Path, *, items: int = 96, seed: int = 0) -> Path:
    """Sentences of three to twelve words, each different, in a text file."""
    generator = np.random.default_rng(seed)
    words = TEXT.split()
    lines: dict[str, None] = {}
    while len(lines) < items:
        lines[" ".join(generator.choice(words, size=generator.integers(3, 13)))] = None
    path.write_text("\n".join(lines) + "\n", encoding="utf8")
    return path


def classified_texts(path: Path, *, items: int = 96, classes: int = 2, seed: int = 0) -> Path:
    """The same in two columns, text and label."""
    lines = texts(path.with_suffix(".txt"), items=items, seed=seed).read_text().splitlines()
    with path.open("w", newline="", encoding="utf8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([[line, index % classes] for index, line in enumerate(lines)])
    return path


def digits(folder: Path, *, items: int = 96, size: int = 32, labelled: bool = True) -> Path:
    """Handwritten digits (scikit-learn, from UCI, CC BY 4.0) as RGB pictures, a folder for each class where
    they are labelled.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    for index in range(items):
        picture = Image.fromarray((data.images[index] * 15.9).astype(np.uint8)).convert("RGB")
        place = folder / str(data.target[index]) if labelled else folder
        place.mkdir(parents=True, exist_ok=True)
        picture.resize((size, size), Image.Resampling.BILINEAR).save(place / f"{index}.png")
    return folder


def tones(folder: Path, *, items: int = 96, seconds: float = 0.5, rate: int = 16000) -> Path:
    """Chords of three tones with some noise as 16-bit wav files."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    for index in range(items):
        pitches = generator.uniform(100, 4000, size=(3, 1))
        sound = np.sin(2 * np.pi * pitches * time).sum(0) / 4 + generator.normal(0, 0.01, time.shape)
        with wave.open(str(folder / f"{index}.wav"), "wb") as stream:
            stream.setparams((1, 2, rate, 0, "NONE", "not compressed"))
            samples = np.clip(sound * 32767, -32768, 32767).astype(np.int16)
            stream.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return folder
