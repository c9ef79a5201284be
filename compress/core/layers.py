"""Layers by their sizes, and what tells how long one takes on the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

LayerDtype = Literal["fp32", "int8", "int4"]
"""How the matrices will be stored when the recipe is done."""


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """A feed-forward layer or an attention with units that can be left out, by the sizes of its matrices.

    Each of `produced` is a matrix (rows for each unit, `inside`): gate and up, or queries, keys and values,
    fused or not. The matrix that reads the units is (`outside`, `consumed` columns for each unit).
    """

    kind: Literal["ffn", "heads"]
    inside: int
    outside: int
    produced: tuple[int, ...]
    consumed: int

    @property
    def head_width(self) -> int:
        """Of an attention, the numbers in a head: a unit has `consumed` rows of queries, and one head of keys
        and one of values.
        """
        return (sum(self.produced) - self.consumed) // 2


class LayerTimes(Protocol):
    """How long layers take on the target."""

    def seconds(
        self, shape: LayerShape, units: Sequence[int], *, dtype: LayerDtype, one_token: bool
    ) -> list[float]:
        """Seconds of a call with each number of units, ascending where those are: of one token with
        `one_token` (as decoders write), else of a batch.

        Raises:
            CompressError: nothing can be measured, since the target is not this host.
        """
