from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from compress.pipeline.contents import Part, checkpoint_parts

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool"]


@given(data=st.data())
def test_zeros_are_counted_as_numpy_counts_them(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("model")
    tensors, expected = {}, {}
    for dtype in data.draw(st.lists(st.sampled_from(DTYPES), min_size=1, unique=True)):
        values = data.draw(st.lists(st.sampled_from([0, -0.0, 1, -1, 3, 1e-7]), max_size=30))
        array = np.array(values, dtype=np.float64).astype(dtype)
        tensors[f"{dtype}.weight"] = array
        expected[dtype] = (array.nbytes, array.size, int((array == 0).sum()))
    save_file(tensors, folder / "model.safetensors")
    found = {part.dtype: (part.size_bytes, part.elements, part.zeros) for part in checkpoint_parts(folder)}
    assert found == expected


def test_bfloat16_has_two_zeros(tmp_path):
    words = np.array([0x0000, 0x8000, 0x3F80, 0x0001], dtype="<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + words)
    (part,) = checkpoint_parts(tmp_path)
    assert (part.dtype, part.elements, part.zeros, part.sparsity) == ("bfloat16", 4, 2, 0.5)


def test_large_tensors_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("compress.pipeline.contents._CHUNK", 64)
    array = np.zeros(1000, dtype=np.float32)
    array[::3] = 1
    save_file({"classifier.weight": array}, tmp_path / "model.safetensors")
    assert checkpoint_parts(tmp_path) == [
        Part(component="head", dtype="float32", size_bytes=4000, elements=1000, zeros=int((array == 0).sum()))
    ]


def test_parts_are_sorted_by_size_and_shards_added(tmp_path):
    save_file({"a.wte.weight": np.ones((4, 4), np.float32)}, tmp_path / "one.safetensors")
    save_file(
        {"a.mlp.weight": np.ones((8, 8), np.float32), "b.wte.weight": np.zeros((4, 4), np.float32)},
        tmp_path / "two.safetensors",
    )
    mapping = {
        "a.wte.weight": "one.safetensors",
        "a.mlp.weight": "two.safetensors",
        "b.wte.weight": "two.safetensors",
    }
    index = json.dumps({"weight_map": mapping})
    (tmp_path / "model.safetensors.index.json").write_text(index, encoding="utf8")
    parts = checkpoint_parts(tmp_path)
    assert [(part.component, part.size_bytes) for part in parts] == [("ffn", 256), ("embedding", 128)]
    assert [part.sparsity for part in parts] == [0.0, pytest.approx(0.5)]
