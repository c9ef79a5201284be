"""What a package's requirements.txt lists, against what the packaged files import."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import packages_distributions

import pytest

from compress.pipeline.manifest import read_manifest
from compress.pipeline.package import package_docker, requirements
from tests.unit.cli.artifact import publish

_MODALITIES = {"PIL", "soundfile", "scipy", "safetensors", "openvino", "onnxruntime_genai"}
"""Modules that only some artifacts need; their files import them inside functions or are imported so."""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("listed") / "out")


def listed(folder):
    return {line.split("==")[0] for line in (folder / "requirements.txt").read_text().split()}


def imported(folder):
    """Top-level modules that any copied file imports, read here without the tool's own reader."""
    names = set()
    for path in (folder / "compress").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {"compress"}


def test_every_import_of_the_packaged_files_is_listed(artifact, tmp_path):
    folder = package_docker(artifact, tmp_path / "image")
    distributions = packages_distributions()
    needed = {distributions.get(module, [module])[0].lower() for module in imported(folder) - _MODALITIES}
    assert {"psutil", "pydantic", "anyio"} <= needed
    assert needed <= listed(folder)
    assert not listed(folder) & {"pillow", "soundfile", "scipy", "safetensors", "openvino"}


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime-genai"])
def test_the_runtime_of_the_artifact_is_listed(artifact, runtime):
    manifest = read_manifest(artifact).model_copy(update={"runtime": runtime})
    names = {line.split("==")[0] for line in requirements(artifact, manifest)}
    plain = {line.split("==")[0] for line in requirements(artifact, read_manifest(artifact))}
    assert names - plain == {runtime}
