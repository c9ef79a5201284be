import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from compress.core.errors import CompressError
from compress.model.headers import MAX_HEADER_BYTES, read_header


def write(path, header, data=b"", *, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_a_real_file_is_read(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.int8)}, path, metadata={"x": "y"})
    header = read_header(path)
    assert {name: (t.dtype, t.shape, t.elements) for name, t in header.items()} == {
        "a": ("F32", (2, 3), 6),
        "b": ("I8", (4,), 4),
    }


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        ({"a": TENSOR}, b"\0" * 4, "truncated"),
        ({"a": TENSOR}, b"\0" * 9, "trailing"),
        ({"a": {**TENSOR, "shape": [3]}}, b"\0" * 8, "does not fit"),
        ({"a": {**TENSOR, "shape": [-2]}}, b"\0" * 8, "does not fit"),
        ({"a": {**TENSOR, "shape": [2.0]}}, b"\0" * 8, "does not fit"),
        ({"a": {**TENSOR, "dtype": "F33"}}, b"\0" * 8, "described wrongly"),
        ({"a": {**TENSOR, "data_offsets": [8, 16]}}, b"\0" * 16, "starts at byte 8"),
        ({"a": TENSOR, "b": {**TENSOR, "data_offsets": [4, 12]}}, b"\0" * 12, "starts at byte 4"),
        ({"a": 3}, b"", "described wrongly"),
        ([], b"", "not a mapping"),
        (b"{nonsense", b"", "not JSON"),
        (b"[" * 200_000, b"", "not JSON"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, data, message):
    with pytest.raises(CompressError, match="safetensors-invalid") as caught:
        read_header(write(tmp_path / "m.safetensors", header, data))
    assert message in str(caught.value)


@pytest.mark.parametrize("length", [MAX_HEADER_BYTES + 1, 2**63, 0, 10_000])
def test_a_header_length_that_lies_is_refused(tmp_path, length):
    with pytest.raises(CompressError, match="safetensors-invalid"):
        read_header(write(tmp_path / "m.safetensors", {}, length=length))


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "m.safetensors"
    path.write_bytes(data)
    try:
        read_header(path)
    except CompressError as error:
        assert error.code == "safetensors-invalid"
