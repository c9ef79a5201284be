"""The name that pip installs: `compress` on the index is another project."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest

from compress.core.distribution import DISTRIBUTION, install_extra

ROOT = Path(__file__).parents[3]
_SHOWN = ("compress", "examples", "profiles", ".github", ".ci", "README.md", "pyproject.toml")
_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".toml", ".j2", ".sh", ".txt", ""}
_WRONG = re.compile(
    r"pip install [^\n&]*?(?<![-.\w])compress(?![-\w])|['\"`]compress\[[a-z]|pkg:pypi/compress(?!-)"
)


def shown_files():
    for name in _SHOWN:
        path = ROOT / name
        files = [path] if path.is_file() else path.rglob("*")
        yield from (file for file in files if file.is_file() and file.suffix in _SUFFIXES)


def test_the_project_is_not_called_like_the_stranger():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    assert project["name"] == DISTRIBUTION != "compress"
    assert project["scripts"] == {"compress": "compress.cli.main:entry"}
    assert install_extra("demo") == f"pip install '{DISTRIBUTION}[demo]'"


def test_nothing_tells_to_install_the_stranger():
    wrong = {
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in shown_files()
        for match in _WRONG.finditer(file.read_text(encoding="utf8"))
    }
    assert wrong == set()


@pytest.mark.parametrize(
    "text",
    ["pip install compress\n", "pip install 'compress[demo]'", '"compress[demo]"', "pkg:pypi/compress@1"],
)
def test_the_stranger_is_recognised(text):
    assert _WRONG.search(text)


def test_every_extra_that_a_hint_names_exists():
    texts = [file.read_text(encoding="utf8") for file in (ROOT / "compress").rglob("*.py")]
    named = {extra for text in texts for extra in re.findall(r'install_extra\("([^"]+)"\)', text)}
    assert named >= {"demo", "openvino", "lm-eval", "bitsandbytes"}
    assert named <= set(metadata(DISTRIBUTION).get_all("Provides-Extra"))


def test_the_examples_install_the_project():
    action = (ROOT / "examples/github-action/action.yml").read_text(encoding="utf8")
    assert f"default: {DISTRIBUTION}\n" in action
    assert f"pip install {DISTRIBUTION}\n" in (ROOT / "examples/gitlab/.gitlab-ci.yml").read_text(
        encoding="utf8"
    )
