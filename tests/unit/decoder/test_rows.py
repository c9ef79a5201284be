import pytest
import torch

from compress.core.errors import CompressError
from compress.decoder.rows import RowNumbers, Source
from compress.model.quantized import Layout


@pytest.fixture
def rows():
    def layout(*shape):
        return Layout(bits=4, group_size=16, symmetric=False, shape=shape)

    layouts = {"q": layout(8, 32), "k": layout(4, 32), "down": layout(6, 16)}
    return RowNumbers(layouts)


def test_rows_are_known_after_slicing_and_joining(rows):
    joined = torch.cat([rows.stand_in("q")[4:], rows.stand_in("k"), rows.stand_in("q")[:2]])
    assert rows.sources(joined.numpy()) == (Source("q", 4, 8), Source("k", 0, 4), Source("q", 0, 2))


def test_rows_are_known_after_two_transpositions(rows):
    assert rows.sources(rows.stand_in("down").T.contiguous().T.numpy()) == (Source("down", 0, 6),)


def test_plain_weights_are_no_stand_ins(rows):
    assert rows.sources(torch.randn(3, 4).numpy()) == ()
    assert rows.sources(torch.zeros(0, 4).numpy()) == ()


def test_other_uses_are_refused(rows):
    with pytest.raises(CompressError):
        rows.sources(rows.stand_in("q").T.numpy())
    with pytest.raises(CompressError):
        rows.sources(rows.stand_in("q")[:, :16].numpy())


def test_a_stand_in_takes_no_memory_for_columns(rows):
    assert rows.stand_in("q").stride() == (1, 0)
