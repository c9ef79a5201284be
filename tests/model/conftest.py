"""Tiny models, built once a session, and a command line that is called in this process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from compress.cli.main import main
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.profile import load_profile
from compress.core.recipe import Recipe
from compress.graph.session import GENAI
from compress.passes.export import genai
from compress.passes.quantize import round as rounding
from compress.pipeline.manifest import Source, write_manifest
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


@pytest.fixture(scope="session")
def published_decoder(tiny_models, tmp_path_factory):
    """The folder of a tiny decoder in 4 bits, with its manifest; shared: copy it before you change it."""
    root = tmp_path_factory.mktemp("decoder")
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=tiny_models("llama"), task="text-generation")
    for name, step, config in (("quantized", rounding, {"group_size": 16}), ("made", genai, {})):
        folder = root / name
        folder.mkdir()
        context = Context(
            folder=folder, calibration=Fixed([]), profile=load_profile("cpu"), progress=Silent()
        )
        artifact = step.apply(artifact, step.Config(**config), context)
    write_manifest(
        artifact.folder,
        created="2026-11-26T00:00:00+00:00",
        task="text-generation",
        source=Source(ref="org/decoder", digest="d" * 64),
        recipe=Recipe(name="int4", steps=(), runtime=GENAI),
        seed=0,
        host={},
        versions={},
    )
    return artifact.folder


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
