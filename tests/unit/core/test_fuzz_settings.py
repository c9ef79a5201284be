"""Damaged recipes, profiles and project files are read, or refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.core.recipe import read_recipe
from tests.bench.reliability import mutate
from tests.bench.reliability.inputs import Reader, settings_files


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    root = tmp_path_factory.mktemp("seeds")
    # The settings of a recipe's steps are read by the passes, whose import takes torch's seconds.
    parsed = Reader("recipe.yaml", root / "recipe.yaml", "recipe.yaml", mutate.lines, read_recipe)
    found = {one.name: one for one in settings_files(root)}
    return {**found, parsed.name: parsed}, root / "work" / "input"


@pytest.mark.parametrize("name", ["recipe.yaml", "profile.yaml", "compress.yaml", "pyproject.toml"])
def test_damaged_settings_are_read_or_refused_in_one_line(name, known) -> None:
    readers, target = known

    @settings(max_examples=60)
    @given(seed=st.integers(0, 2**32))
    def check(seed: int) -> None:
        readers[name].check(target, seed)

    check()
