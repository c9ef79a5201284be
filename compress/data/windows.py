"""Windows of equal length over running text."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def token_windows(texts: Iterable[Sequence[int]], *, count: int, length: int) -> np.ndarray:
    """Texts as token ids, one after the other, cut into windows: int64 (windows, length).

    At most `count`; what does not fill a window is left out, but where there is no whole one there is
    one that is shorter.

    Raises:
        CompressError: there is no token at all.
    """
    ids = np.fromiter(islice(chain.from_iterable(texts), count * length), np.int64)
    if not ids.size:
        raise CompressError("data-empty", "the calibration texts hold no tokens", hint="use other --data")
    windows = len(ids) // length
    return ids[: windows * length].reshape(windows, length) if windows else ids[None]
