import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.core.errors import CompressError
from compress.model.quantized import (
    INDEX,
    Layout,
    QuantizedCheckpoint,
    QuantizedMatrix,
    write_block,
    write_index,
)


def made(rows, columns, bits, group_size, seed=0):
    layout = Layout(bits=bits, group_size=group_size, symmetric=False, shape=(rows, columns))
    random = torch.Generator().manual_seed(seed)

    def codes(*shape):
        return torch.randint(0, 1 << bits, shape, generator=random, dtype=torch.uint8)

    scales = torch.rand(rows, layout.groups, generator=random) + 0.1
    zeros = codes(rows, layout.groups)
    return QuantizedMatrix(layout=layout, codes=codes(rows, columns), scales=scales, zeros=zeros)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 40),
    st.sampled_from([2, 3, 4, 8]),
    st.integers(1, 50),
    st.integers(0, 9),
)
def test_what_is_written_is_read(tmp_path_factory, rows, columns, bits, group_size, seed):
    folder = tmp_path_factory.mktemp("quantized")
    matrix = made(rows, columns, bits, min(group_size, columns), seed)
    norm = torch.rand(columns, dtype=torch.float32).to(torch.bfloat16)
    write_block(folder / "block-00000.safetensors", {"a.weight": matrix}, {"norm.weight": norm})
    write_index(folder)
    read = QuantizedCheckpoint(folder)
    found = read.matrix("a.weight")
    assert read.others == ["norm.weight"]
    assert torch.equal(read.tensor("norm.weight"), norm)
    assert found.layout == matrix.layout
    assert all(
        torch.equal(getattr(found, part), getattr(matrix, part)) for part in ("codes", "scales", "zeros")
    )


def test_values_are_scale_times_code_minus_zero_with_a_short_last_group():
    matrix = made(3, 10, 4, 4)
    expected = torch.empty(3, 10)
    for row in range(3):
        for column in range(10):
            group = column // 4
            steps = int(matrix.codes[row, column]) - int(matrix.zeros[row, group])
            expected[row, column] = steps * matrix.scales[row, group]
    assert matrix.layout.groups == 3
    torch.testing.assert_close(matrix.dequantized(), expected)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(CompressError) as caught:
        QuantizedCheckpoint(tmp_path)
    assert caught.value.code == "quantized-invalid"
    (tmp_path / INDEX).write_text('{"format": 99}')
    with pytest.raises(CompressError):
        QuantizedCheckpoint(tmp_path)
