import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.data.windows import token_windows

TEXTS = [[1, 2, 3], [], [4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("count", "length", "expected"),
    [
        (9, 3, [[1, 2, 3], [4, 5, 6]]),
        (1, 3, [[1, 2, 3]]),
        (2, 4, [[1, 2, 3, 4], [5, 6, 7, 8]]),
        (3, 20, [[1, 2, 3, 4, 5, 6, 7, 8]]),
    ],
)
def test_texts_are_cut_into_windows(count, length, expected):
    found = token_windows(TEXTS, count=count, length=length)
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_no_token_is_an_error():
    with pytest.raises(CompressError) as caught:
        token_windows([[], []], count=1, length=2)
    assert caught.value.code == "data-empty"
