"""YAML of strangers is bounded in size, depth and what its aliases stand for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compress.core.errors import CompressError
from compress.core.profile import load_profile
from compress.core.recipe import read_recipe
from compress.core.settings import project_jobs, project_values
from compress.core.yaml_files import MAX_YAML_BYTES, parse_yaml, read_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


def test_aliases_that_stand_for_a_few_values_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\n", where="x", code="c") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "a: &a\n  b: *a\n",
        "[" * 5000,
        "- " * 5000 + "x",
        "a: 2026-99-99\n",
        "a: !!int x\n",
        "a: \x07\n",
    ],
    ids=["laughs", "itself", "brackets", "dashes", "date", "int", "bell"],
)
def test_what_is_unbounded_or_no_yaml_is_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf8")
    with pytest.raises(CompressError) as caught:
        read_yaml(path, code="recipe-invalid")
    assert caught.value.code == "recipe-invalid"
    assert "\n" not in caught.value.message


def test_a_file_of_megabytes_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with path.open("wb") as stream:
        stream.truncate(MAX_YAML_BYTES + 1)
    with pytest.raises(CompressError, match="expected at most"):
        read_recipe(path)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["compress.yaml", "pyproject.toml"])
def test_a_pipe_as_project_file_is_refused(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(CompressError, match="named pipe"):
        project_values(tmp_path)


@pytest.mark.timeout(10)
def test_a_pipe_as_profile_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(CompressError, match="named pipe"):
        load_profile(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "tool = 5\n",
        "[tool]\ncompress = 5\n",
        "[tool.compress]\ntarget = 5\n",
        "[tool.compress]\njobs = 5\n",
        "[",
    ],
)
def test_a_pyproject_of_other_types_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf8")
    try:
        project_jobs(tmp_path)
    except CompressError as error:
        assert error.code in ("settings-invalid", "jobs-missing")
    else:
        pytest.fail("jobs were read")


def test_a_long_value_is_shortened_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: [{'x' * 50_000}]\ndescription: d\n", encoding="utf8")
    with pytest.raises(CompressError) as caught:
        load_profile(str(path))
    assert len(caught.value.message) < 1000
