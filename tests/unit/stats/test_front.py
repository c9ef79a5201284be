from __future__ import annotations

import itertools

import pytest

from compress.stats.front import beats, by_interval, by_value


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["better"], True),
        (["better", "equal", "equal"], True),
        (["equal", "equal"], False),
        (["better", "worse"], False),
        ([], False),
    ],
)
def test_dominance(verdicts, expected):
    assert beats(verdicts) is expected


def test_the_front_of_points_by_brute_force():
    """Of points with two costs each, those are beaten that have another below and left of them."""
    points = list(itertools.product(range(4), repeat=2))
    for one in points:
        beaten = [
            other for other in points if beats([by_value(a, b) for a, b in zip(other, one, strict=True)])
        ]
        assert beaten == [
            other for other in points if other[0] <= one[0] and other[1] <= one[1] and other != one
        ]


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(1.1, 2, "better"), (0.9, 1.1, "equal"), (0.5, 0.9, "worse")]
)
def test_what_an_interval_does_not_tell_is_equal(low, high, verdict):
    assert by_interval(low, high) == verdict
