"""Pictures and sounds that would fill the memory, start a program or wait for ever are refused."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from compress.core.errors import CompressError
from compress.core.media_files import PICTURE_FORMATS, open_picture, read_sound, refuse_sound
from compress.runtime.images import open_image


def png(width: int, height: int) -> bytes:
    """A PNG that declares a size, with a few bytes of rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def refused(call, *arguments) -> CompressError:
    with pytest.raises(CompressError) as caught:
        call(*arguments)
    assert caught.value.code == "data-unreadable"
    assert "\n" not in caught.value.message
    return caught.value


def test_a_picture_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    with open_picture(path) as picture:
        assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("kind", PICTURE_FORMATS)
def test_every_format_is_read_in_a_process_that_read_none(kind: str) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, kind)
    code = "import sys; from compress.core.media_files import *; open_picture(sys.stdin.buffer.read()).load()"
    subprocess.run([sys.executable, "-c", code], input=stream.getvalue(), check=True)


def test_a_bomb_is_refused_by_its_header() -> None:
    assert "13,000 x 13,000 pixels" in refused(open_picture, png(13_000, 13_000)).message
    refused(open_image, png(13_000, 13_000))
    assert "bomb" in refused(open_image, png(100_000, 100_000)).message


def test_a_picture_that_ends_early_is_one_line() -> None:
    refused(open_image, png(300, 300))


def test_postscript_is_no_picture(tmp_path: Path) -> None:
    # Pillow hands it to Ghostscript.
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n")
    assert Image.open(path).format == "EPS"
    refused(open_picture, path)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("call", [open_picture, open_image, refuse_sound, read_sound])
def test_a_pipe_is_refused(call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    assert "named pipe" in refused(call, tmp_path / "a").message


def flac(samples: int) -> bytes:
    """A FLAC of a tenth of a second that declares `samples`."""
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(1600, dtype=np.float32), 16000, format="FLAC")
    data = bytearray(stream.getvalue())
    low = (data[21] & 0xF0) | (samples >> 32)
    data[21:26] = bytes([low]) + struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(data)


def test_a_sound_is_read_as_soundfile_reads_it() -> None:
    samples, rate = read_sound(flac(1600))
    assert samples.shape == (1600, 1)
    assert rate == 16000


def test_a_sound_of_no_rate_is_refused() -> None:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(16, dtype=np.float32), 1_999_999_973, format="WAV")
    assert "1,999,999,973 samples a second" in refused(read_sound, stream.getvalue()).message


def test_a_sound_of_a_year_is_refused_by_its_header() -> None:
    assert "samples" in refused(read_sound, flac(2**35)).message
