from __future__ import annotations

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.numerics.elimination import Removals
from compress.passes.widths import TimeBudget, by_ratio, widths_of


def budget(share, *, staying=0.0, count=3):
    """Layers of 8 units that take a second for each two units that were begun."""
    widths = [widths_of(8, 1)] * count
    seconds = [np.array([np.ceil(width / 2) for width in own]) for own in widths]
    whole = staying + 4.0 * count
    return TimeBudget(allowed=share * whole - staying, whole=whole, widths=widths, seconds=seconds)


def removals(*slopes):
    return [Removals(np.arange(7), slope * np.arange(1.0, 8.0)) for slope in slopes]


def test_widths_are_multiples_but_for_the_whole():
    assert widths_of(100, 32) == [100, 96, 64, 32]
    assert widths_of(96, 32) == [96, 64, 32]
    assert widths_of(12, 32) == [12]
    assert by_ratio(100, 0.3, 32) == 64


def test_the_same_width_everywhere_is_the_widest_in_time():
    assert budget(0.75).uniform() == [6, 6, 6]
    assert budget(0.70).uniform() == [4, 4, 4]


def test_what_stays_counts_with_its_own_time():
    """12 of 24 seconds stay: to save a quarter of all, half of the rest has to go."""
    assert budget(0.75, staying=12.0).uniform() == [4, 4, 4]


def test_layers_that_do_least_are_narrowed_most_and_no_unit_goes_for_nothing():
    found = budget(0.75)
    left = found.divided(removals(1.0, 1.0, 100.0))
    assert left[2] == 8
    assert sum(4 - np.ceil(width / 2) for width in left) == 3
    assert all(width % 2 == 0 for width in left)  # one unit of a pair would save no time
    assert found.share(left) == pytest.approx(0.75)


def test_what_cannot_be_reached_says_what_can():
    with pytest.raises(CompressError, match="leave 62% of the time") as caught:
        budget(0.5, staying=12.0).uniform()
    assert caught.value.code == "latency-unreachable"
    with pytest.raises(CompressError, match="leave 62% of the time"):
        budget(0.5, staying=12.0).divided(removals(1.0, 1.0, 1.0))
