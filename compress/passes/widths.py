"""How many units stay at each site: by a share of the units, or by a share of the time that blocks take.

For time the target's kernels are asked: a table of what each layer takes at some widths (`core.layers`), so
that widths which save nothing there are not taken. Blocks are their attention and their feed-forward layers;
the one that a step does not narrow counts with the time that it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.model.structure.sites import layer_shape, unit_size
from compress.numerics.allocate import Choice, allocate
from compress.numerics.choices import Options, choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from compress.core.layers import LayerDtype, LayerTimes
    from compress.model.structure.sites import Site
    from compress.numerics.elimination import Removals


def widths_of(total: int, multiple: int) -> list[int]:
    """The numbers of units that a site may keep, all of them first: multiples, except for the first."""
    multiple = min(multiple, total)
    return [total, *(width for width in range(total // multiple * multiple, 0, -multiple) if width < total)]


def by_ratio(total: int, ratio: float, multiple: int) -> int:
    """The number of units nearest to what a ratio leaves that is a multiple."""
    multiple = min(multiple, total)
    return max(multiple, round(total * (1 - ratio) / multiple) * multiple)


def divided(
    module: torch.nn.Module,
    sites: Sequence[Site],
    removals: Sequence[Removals],
    left: Sequence[int],
    multiple: int,
) -> list[int]:
    """How many units stay at each site, where as many weights go as with `left` of each."""
    choices, options, target = [], [], 0.0
    for site, one, remaining in zip(sites, removals, left, strict=True):
        total, unit = len(site.units), unit_size(module, site)
        widths = widths_of(total, multiple)
        choices.append(Choice(_errors(one, widths), float(unit * min(multiple, total))))
        options.append(widths)
        target += unit * (total - remaining)
    return [widths[steps] for widths, steps in zip(options, allocate(choices, target), strict=True)]


def _errors(removals: Removals, widths: Sequence[int]) -> np.ndarray:
    """The error at each width, of which the first is the whole."""
    total = widths[0]
    return np.array([removals.errors[total - width - 1] if width < total else 0.0 for width in widths])


@dataclass(frozen=True, kw_only=True)
class TimeBudget:
    """The seconds that the narrowed sites may take, and those that each takes at each width."""

    allowed: float
    whole: float
    """Of all blocks before, with the sites that stay."""
    widths: list[list[int]]
    seconds: list[np.ndarray]

    def uniform(self) -> list[int]:
        """The widest widths that take no longer, of the same share at each site.

        Raises:
            CompressError: the narrowest still take longer.
        """
        steps = min(len(widths) for widths in self.widths)
        for step in range(steps):
            places = [round(step * (len(widths) - 1) / max(steps - 1, 1)) for widths in self.widths]
            spent = sum(float(one[place]) for one, place in zip(self.seconds, places, strict=True))
            if spent <= self.allowed * (1 + 1e-9):
                return [widths[place] for widths, place in zip(self.widths, places, strict=True)]
        raise self._unreachable()

    def divided(self, removals: Sequence[Removals]) -> list[int]:
        """Widths that together take no longer, at the least error.

        Raises:
            CompressError: the narrowest still take longer.
        """
        layers = [
            Options(seconds[0] - seconds, _errors(one, widths))
            for one, seconds, widths in zip(removals, self.seconds, self.widths, strict=True)
        ]
        target = sum(float(one[0]) for one in self.seconds) - self.allowed
        chosen = choose(layers, target)
        if chosen is None:
            raise self._unreachable()
        return [widths[option] for widths, option in zip(self.widths, chosen, strict=True)]

    def share(self, left: Sequence[int]) -> float:
        """The share of the blocks' time that is left with so many units."""
        before = sum(float(one[0]) for one in self.seconds)
        after = sum(
            float(one[widths.index(units)])
            for one, widths, units in zip(self.seconds, self.widths, left, strict=True)
        )
        return (self.whole - before + after) / self.whole

    def _unreachable(self) -> CompressError:
        least = self.share([widths[-1] for widths in self.widths])
        message = f"the narrowest layers would leave {least:.0%} of the time of the blocks"
        hint = "raise `latency`, or narrow the other kind of layer too (prune.ffn, prune.heads)"
        return CompressError("latency-unreachable", message, hint=hint)


def time_budget(
    module: torch.nn.Module,
    sites: Sequence[Site],
    others: Sequence[Site],
    times: LayerTimes,
    *,
    share: float,
    multiple: int,
    dtype: LayerDtype,
    one_token: bool,
) -> TimeBudget:
    """What `sites` may take, for all blocks to take `share` of their time; `others` stay as they are.

    Raises:
        CompressError: layers cannot be timed for the target here.
    """

    def seconds(site: Site, units: Sequence[int]) -> np.ndarray:
        shape = layer_shape(module, site)
        return np.array(times.seconds(shape, units, dtype=dtype, one_token=one_token))

    widths = [widths_of(len(site.units), multiple) for site in sites]
    own = [seconds(site, units) for site, units in zip(sites, widths, strict=True)]
    staying = sum(float(seconds(site, [len(site.units)])[0]) for site in others)
    whole = staying + sum(float(one[0]) for one in own)
    return TimeBudget(allowed=share * whole - staying, whole=whole, widths=widths, seconds=own)
