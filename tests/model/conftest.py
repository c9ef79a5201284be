"""Tiny models, built once a session, and a command line that is called in this process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from compress.cli.main import main
from tests import tiny


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A function from an architecture's name to its folder, shared: copy it before you change it."""
    root = tmp_path_factory.mktemp("tiny")

    def model(name: str) -> Path:
        folder = root / name
        if not folder.exists():
            tiny.build(name, folder)
        return folder

    return model


@pytest.fixture
def tiny_copy(tiny_models, tmp_path):
    """A function from an architecture's name to a copy that the test may damage."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(tiny_models(name), tmp_path / "model"))

    return copy


@dataclass
class Called:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capfd, tmp_path, monkeypatch):
    """Call `compress` with words, in an empty working folder with a cache of its own."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def call(*words: str | Path) -> Called:
        capfd.readouterr()
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Called(code, out, err)

    return call
