"""Native code that a model brings is never loaded: a shared object that leaves a mark when it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import compress
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.core.profile import load_profile
from compress.core.recipe import Recipe
from compress.graph.session import GENAI
from compress.passes.export import genai
from compress.pipeline.manifest import Source, read_manifest, write_manifest
from compress.runtime.decoder import Decoder
from compress.serve.model import Served
from tests import tiny

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="makes a shared object with gcc"),
]

CONSTRUCTOR = """
#include <stdio.h>
__attribute__((constructor)) static void leave(void) {
    FILE *mark = fopen("%s", "w");
    if (mark) fclose(mark);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A shared object called like a text, and the file that is there once it was loaded."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "ops.c").write_text(CONSTRUCTOR % (folder / "mark"))
    words = ["gcc", "-shared", "-fPIC", "-o", folder / "ops.txt", folder / "ops.c"]
    subprocess.run(words, check=True)
    return folder / "ops.txt"


@pytest.fixture
def mark(library):
    mark = library.with_name("mark")
    mark.unlink(missing_ok=True)
    yield mark
    mark.unlink(missing_ok=True)


def with_library(settings, library, folder):
    """Put the library into a folder, and name it in settings for the runtime."""
    shutil.copyfile(library, folder / "ops.txt")
    settings["model"]["decoder"].setdefault("session_options", {})["custom_ops_library"] = "ops.txt"
    (folder / "genai_config.json").write_text(json.dumps(settings))
    return folder


def written(folder):
    return json.loads((folder / "genai_config.json").read_text())


@pytest.fixture
def doctored(published_decoder, library, tmp_path):
    """A published decoder into which somebody put the library, with a manifest that says so."""
    folder = shutil.copytree(published_decoder, tmp_path / "doctored")
    with_library(written(folder), library, folder)
    (folder / "compress.json").unlink()
    write_manifest(
        folder,
        created="2026-11-26T00:00:00+00:00",
        task="text-generation",
        source=Source(ref="org/decoder", digest="d" * 64),
        recipe=Recipe(name="int4", steps=(), runtime=GENAI),
        seed=0,
        host={},
        versions={},
    )
    return folder


def test_the_runtime_alone_would_load_it(doctored, mark):
    """Otherwise the tests below would show nothing."""
    script = "import sys, onnxruntime_genai as genai\ngenai.Model(sys.argv[1])"
    subprocess.run([sys.executable, "-P", "-c", script, doctored], capture_output=True, check=False)
    assert mark.exists()


def test_a_doctored_artifact_is_refused(doctored, mark, cli):
    for opens in (compress.load, Decoder, Served):
        with pytest.raises(CompressError, match=r"genai-settings.*custom_ops_library"):
            opens(doctored)
    for verb in ("verify", "bench"):
        words = ["--seconds", "0"] if verb == "bench" else []
        called = cli(verb, doctored, *words)
        assert called.code == 2
        assert "custom_ops_library" in called.err
    assert not mark.exists()


def test_a_source_with_a_library_becomes_an_artifact_without_it(
    published_decoder, tiny_copy, library, mark, tmp_path
):
    source = with_library(written(published_decoder), library, tiny_copy("llama"))
    made = tmp_path / "made"
    made.mkdir()
    context = Context(folder=made, calibration=Fixed([]), profile=load_profile("cpu"), progress=Silent())
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=source, task="text-generation")
    genai.apply(artifact, genai.Config(), context)
    assert not (made / "ops.txt").exists()
    assert "custom_ops_library" not in (made / "genai_config.json").read_text()
    assert isinstance(compress.load(made).generate("the quick", tokens=2), str)
    assert not mark.exists()


def test_an_encoder_with_settings_for_decoders_is_an_encoder(
    cli, published_decoder, tiny_copy, library, mark, tmp_path
):
    source = with_library(written(published_decoder), library, tiny_copy("bert"))
    shutil.copytree(source, source / "checkpoint")  # where this tool itself puts another form of a model
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{tiny.TEXT[start : start + 40]}\n" for start in range(90)))
    words = ["--recipe", "fp32", "--allow-fp32", "--max-drop", "100%", "--seconds", "0", "--data", texts]
    called = cli("run", source, *words, "--out", "out")
    assert called.code in (0, 4), called.err
    files = read_manifest(Path("out")).files
    assert not {name for name in files if "ops.txt" in name or "genai_config" in name}
    assert cli("verify", "out").code == 0
    assert compress.load("out").encode("the quick").ndim == 1
    assert cli("bench", "out", "--seconds", "0").code == 0
    assert not mark.exists()
