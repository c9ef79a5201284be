"""Open pictures and sounds of strangers: common formats alone, and no more of them than memory holds.

A picture of some kilobytes may say that it is 100,000 pixels high and wide, a sound that it lasts a year,
and Pillow has readers that start other programs (PostScript). All that is refused by the header.
"""

from __future__ import annotations

import io
import os
import warnings
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.regular_files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from PIL import Image

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "ICO", "TGA")
"""By Pillow's names."""

MAX_PIXELS = 128 * 2**20
"""134 million: beyond the sensors of phones; as RGB it is 400 MB."""

MAX_SAMPLES = 128 * 2**20
"""Of all channels: 2.3 hours at 16 kHz; as float32 they are 512 MB."""

RATES = range(1_000, 768_001)
"""In Hz. Filters that resample have twenty times as many taps, where the rates share no factor."""

_CODE = "data-unreadable"
_HINT = "mend or remove the file"


def open_picture(source: Path | bytes) -> Image.Image:
    """Open a picture without decoding it, once its header says that it is of a format and size to decode.

    Raises:
        CompressError: It is no regular file, of no known format, damaged, or too large.
    """
    from PIL import Image

    name = _name(source, "an image")
    with translated(_CODE, f"{name} cannot be read", hint=_HINT), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, lower, limit of pixels is a warning
        Image.init()  # else Pillow does not know all of these formats by name
        picture = Image.open(_checked(source), formats=PICTURE_FORMATS)
    width, height = picture.size
    if not 0 < width * height <= MAX_PIXELS:
        message = f"{name} has {width:,} x {height:,} pixels, expected at most {MAX_PIXELS:,}"
        raise CompressError(_CODE, message, hint="scale it down")
    return picture


def refuse_sound(source: Path | bytes) -> None:
    """Look at a sound's header, and refuse what cannot be decoded.

    Raises:
        CompressError: It is no regular file, no sound, damaged, or too long.
    """
    import soundfile

    name = _name(source, "a sound")
    with translated(_CODE, f"{name} cannot be read", hint=_HINT):
        info = soundfile.info(_checked(source))
    if info.samplerate not in RATES:
        message = f"{name} has {info.samplerate:,} samples a second, expected {RATES[0]:,} to {RATES[-1]:,}"
        raise CompressError(_CODE, message, hint=_HINT)
    samples = info.frames * info.channels
    if not 0 <= samples <= MAX_SAMPLES:
        message = f"{name} has {info.frames:,} samples in {info.channels} channels, expected at most"
        raise CompressError(_CODE, f"{message} {MAX_SAMPLES:,}", hint="cut it into shorter files")


def read_sound(source: Path | bytes) -> tuple[np.ndarray, int]:
    """Decode a sound.

    Returns:
        The samples, float32 (T, channels) in [-1, 1], and their rate in Hz.

    Raises:
        CompressError: As `refuse_sound` does, or the sound ends within its samples.
    """
    import soundfile

    refuse_sound(source)
    name = _name(source, "a sound")
    with translated(_CODE, f"{name} cannot be read", hint=_HINT):
        samples, rate = soundfile.read(_checked(source), dtype="float32", always_2d=True)
    return samples, int(rate)


def _checked(source: Path | bytes) -> Any:
    """Give a library what it opens itself, once that is known to be a regular file."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    open_regular(source, code=_CODE).close()
    return os.fspath(source)


def _name(source: Path | bytes, otherwise: str) -> str:
    return otherwise if isinstance(source, bytes) else str(source)
