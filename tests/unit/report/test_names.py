"""Paths are told apart by as little of their end as it takes."""

from __future__ import annotations

import pytest

from compress.report.names import short_names


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["/models/a", "/models/b"], ["a", "b"]),
        (["/runs/1/small", "/runs/2/small"], ["1/small", "2/small"]),
        (["demo", "org/name", "./out/small"], ["demo", "org/name", "small"]),
        (["small", "/runs/small"], ["small", "runs/small"]),
        (["runs/2/small", "small"], ["2/small", "small"]),
        (["/a"], ["a"]),
    ],
)
def test_names_are_short_and_different(names, short):
    assert list(short_names(names).values()) == short
