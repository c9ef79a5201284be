"""Stand-ins for quantized weights, with which a graph can be built without the weights.

A builder of graphs slices fused matrices, joins separate ones and transposes. A stand-in (N, K) holds in
each row the number of that row among all rows of the model, so that whatever rows a builder ends with, they
tell which matrices they came from. It is an expanded column: it takes N numbers, not N * K.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compress.model.quantized import Layout

_FIRST = 1 << 20
"""The number of the first row: no weight of a model is as large."""
_LAST = 1 << 24
"""Whole numbers up to this one are exact in float32."""


@dataclass(frozen=True)
class Source:
    """Rows `start` to `stop` of the matrix of one weight."""

    name: str
    start: int
    stop: int


class RowNumbers:
    """Numbers the rows of all quantized matrices of a model."""

    def __init__(self, layouts: Mapping[str, Layout]) -> None:
        """Number them.

        Raises:
            CompressError: there are more rows than float32 counts.
        """
        self._layouts = layouts
        self._names = sorted(layouts)
        rows = [layouts[name].shape[0] for name in self._names]
        self._starts = [int(start) for start in _FIRST + np.cumsum([0, *rows])]
        if self._starts[-1] > _LAST:
            message = f"the model has {sum(rows):,} rows of quantized weights, at most {_LAST - _FIRST:,}"
            raise CompressError("export-unsupported", message, hint="this architecture is too large")

    def stand_in(self, name: str) -> torch.Tensor:
        """The stand-in of a matrix, float32 (N, K)."""
        rows, columns = self._layouts[name].shape
        start = self._starts[self._names.index(name)]
        return torch.arange(start, start + rows, dtype=torch.float32)[:, None].expand(rows, columns)

    def sources(self, weight: np.ndarray) -> tuple[Source, ...]:
        """The rows that `weight` (N, K) is made of, in its order; none for one that is no stand-in.

        Raises:
            CompressError: it was made of stand-ins, but by more than slicing, joining and transposing.
        """
        if not self._is_stand_in(weight):
            return ()
        found: list[Source] = []
        for number in weight[:, 0].astype(np.int64).tolist():
            index = bisect_right(self._starts, number) - 1
            name, row = self._names[index], number - self._starts[index]
            if found and found[-1].name == name and found[-1].stop == row:
                found[-1] = Source(name, found[-1].start, row + 1)
            else:
                found.append(Source(name, row, row + 1))
        widths = {self._layouts[one.name].shape[1] for one in found}
        if widths != {weight.shape[1]} or not np.array_equal(weight[:, 0], weight[:, -1]):
            message = (
                f"a quantized matrix of {sorted(widths)} columns is used in a way that codes do not allow"
            )
            raise CompressError("export-unsupported", message, hint="leave this matrix unquantized")
        return tuple(found)

    def _is_stand_in(self, weight: np.ndarray) -> bool:
        if weight.ndim != 2 or not weight.size:
            return False
        number = float(weight[0, 0])
        return number.is_integer() and _FIRST <= number < self._starts[-1]
