"""Damaged reports are rendered, or refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bench.reliability.inputs import artifacts


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    root = tmp_path_factory.mktemp("seeds")
    return {one.name: one for one in artifacts(root)}, root / "work" / "input"


@pytest.mark.parametrize("name", ["report.json", "evidence.json"])
def test_a_damaged_report_is_rendered_or_refused_in_one_line(name, known) -> None:
    readers, target = known

    @settings(max_examples=50)
    @given(seed=st.integers(0, 2**32))
    def check(seed: int) -> None:
        readers[name].check(target, seed)

    check()
