"""GGUF headers: as the reference library reads them, and refused where they lie."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.core.errors import CompressError
from compress.model import resolve, sources
from compress.model.gguf_header import read_gguf_header


def write(path: Path, **sizes: int) -> Path:
    """A GGUF file as the reference library writes it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(sizes.get("block_count", 1))
    writer.add_context_length(128)
    writer.add_token_list(["a", "b", "\u00e9"])
    writer.add_array("nested", [[1, 2], [3]]) if sizes.get("nested") else None
    writer.add_bool("flag", True)
    writer.add_float32("scale", 0.5)
    writer.add_tensor("token_embd.weight", np.arange(12, dtype=np.float32).reshape(3, 4))
    writer.add_tensor("blk.0.attn_q.weight", np.arange(16, dtype=np.float16).reshape(4, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def refused(path: Path) -> CompressError:
    with pytest.raises(CompressError) as caught:
        read_gguf_header(path)
    assert caught.value.code == "gguf-invalid"
    assert "\n" not in caught.value.message
    return caught.value


def test_the_header_is_the_reference_librarys(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    header, reference = read_gguf_header(path), gguf.GGUFReader(path)
    assert set(header.values) == {name for name in reference.fields if not name.startswith("GGUF.")}
    assert header.values["general.architecture"] == "llama"
    assert header.values["tokenizer.ggml.tokens"] == 3
    assert header.values["scale"] == 0.5
    for tensor in reference.tensors:
        read = header.tensors[tensor.name]
        assert read.shape == tuple(tensor.shape.tolist())
        assert read.type == tensor.tensor_type
        assert read.start + reference.data_offset == tensor.data_offset


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))
    return path


HEAD = struct.pack("<IQQ", 3, 2, 6)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        (HEAD, struct.pack("<IQQ", 1, 2, 6), "version"),
        (HEAD, struct.pack("<IQQ", 3, 2**60, 6), "tensors"),
        (HEAD, struct.pack("<IQQ", 3, 2, 2**60), "keys"),
        (struct.pack("<Q", 20) + b"general.architecture", struct.pack("<Q", 2**40) + b"x" * 20, "bytes"),
        (struct.pack("<IQ", 8, 3), struct.pack("<IQ", 8, 2**50), "elements"),
        (struct.pack("<IQ", 8, 3), struct.pack("<IQ", 9, 3), "holds"),
        (struct.pack("<IQQ", 2, 4, 3), struct.pack("<IQQ", 9, 4, 3), "dim"),
        (struct.pack("<QQ", 4, 3), struct.pack("<QQ", 2**62, 2**62), "shape"),
        (struct.pack("<QQ", 4, 3), struct.pack("<QQ", 0, 3), "shape"),
    ],
)  # fmt: skip
def test_what_the_file_cannot_hold_is_refused(tmp_path: Path, old: bytes, new: bytes, word: str) -> None:
    assert word in refused(replaced(write(tmp_path / "m.gguf"), old, new)).message


def test_nothing_is_read_of_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.gguf")
    assert "pipe" in refused(tmp_path / "m.gguf").message


def test_a_million_blocks_are_refused_by_the_tensors(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", block_count=10**6)
    with pytest.raises(CompressError, match="num_hidden_layers 1,000,000"):
        sources.gguf_folder(path, cache=tmp_path / "cache", note=print)


def test_capitals_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_convert", lambda path, folder: (folder / "config.json").write_text("{}"))
    path = write(tmp_path / "M.GGUF")
    folder, _ = resolve._find(str(path), offline=True, cache=tmp_path / "cache", note=print)
    assert (folder / "config.json").exists()


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_fuzz_of_bytes(tmp_path: Path, data: st.DataObject) -> None:
    path = write(tmp_path / "m.gguf")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_gguf_header(path)
    except CompressError as error:
        assert error.code == "gguf-invalid"
