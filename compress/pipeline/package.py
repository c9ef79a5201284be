"""An artifact as a folder that a container is built from: the model, a server, and what that runs on.

The server needs no torch and none of what makes artifacts: it is this package's own code for running
them (`compress.serve` and what that imports), copied, and a list of pinned requirements.
"""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.paths import folder_files, unwritable
from compress.core.publication import published
from compress.graph.session import GENAI
from compress.measure.sources import PACKAGE, closure
from compress.pipeline.manifest import read_manifest, verify_folder

if TYPE_CHECKING:
    from pathlib import Path

    from compress.pipeline.manifest import Manifest

MODEL = "model"
_SERVER = "compress.serve.__main__"
_RUNTIMES: dict[str, frozenset[str]] = {
    "onnxruntime": frozenset(),
    "onnxruntime-genai": frozenset({"onnxruntime-genai"}),
    GENAI: frozenset({"onnxruntime-genai"}),
    "openvino": frozenset({"openvino"}),
}
_MEDIA: dict[str, frozenset[str]] = {
    "text": frozenset(),
    "image": frozenset({"pillow"}),
    "audio": frozenset({"soundfile", "scipy"}),
}
_HEAD = frozenset({"safetensors", "scipy"})
"""What layers after the pooling need, as sentence-transformers stores them."""
_OPTIONAL = frozenset().union(*_RUNTIMES.values(), *_MEDIA.values(), _HEAD)
_DISTRIBUTIONS = {"PIL": "pillow", "onnxruntime_genai": "onnxruntime-genai"}
"""Of modules that are not called like the distribution that installs them."""
_FALLBACK = {"fastapi": ">=0.115,<1", "uvicorn": ">=0.32,<1"}
"""Of packages that this environment need not have."""
_TEMPLATES = ("Dockerfile", "README.md", ".dockerignore")


def package_docker(artifact: Path, out: Path) -> Path:
    """Write `out`: Dockerfile, requirements.txt, the server under `compress/`, the artifact under `model/`.

    Raises:
        CompressError: the artifact is none or was changed, is for a runtime that no server is made for, or
            `out` is there already or cannot be written.
    """
    manifest = read_manifest(artifact)
    problems = verify_folder(artifact)
    if problems:
        hint = "get the artifact again, or run `compress run` again"
        raise CompressError("artifact-changed", problems[0], hint=hint)
    needed = requirements(artifact, manifest)
    with published(out) as folder:
        try:
            _write(folder, artifact, manifest, needed)
        except OSError as error:
            raise unwritable(out, error) from error
    return out


def _write(folder: Path, artifact: Path, manifest: Manifest, needed: list[str]) -> None:
    _copy_model(artifact, folder / MODEL)
    _copy_server(folder)
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in needed), encoding="utf8")
    for name in _TEMPLATES:
        text = (files("compress.serve") / "templates" / name.lstrip(".")).read_text(encoding="utf8")
        text = text.replace("@TASK@", manifest.task).replace("@REF@", manifest.source.ref)
        (folder / name).write_text(text, encoding="utf8", newline="\n")


def _copy_model(artifact: Path, target: Path) -> None:
    for name in folder_files(artifact):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        # No hard links: what is changed in a deployment must not change the artifact.
        shutil.copyfile(artifact / name, target / name)


def _copy_server(folder: Path) -> None:
    found = closure([_SERVER])
    for name in found.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found.root / name, folder / name)
    assert (folder / PACKAGE / "serve").is_dir()


def requirements(artifact: Path, manifest: Manifest) -> list[str]:
    """List what pip installs, in the versions of this environment.

    Everything that the server's files import is listed, except what only other runtimes and modalities need.

    Args:
        artifact: the published folder.
        manifest: its manifest, for the runtime, the task and the files.

    Returns:
        Requirement lines, sorted by name.

    Raises:
        CompressError: there is no server for the artifact's runtime.
    """
    if manifest.runtime not in _RUNTIMES:
        message = f"no server for artifacts of the runtime '{manifest.runtime}'"
        raise CompressError("runtime-unsupported", message, hint=f"supported: {', '.join(_RUNTIMES)}")
    used = _RUNTIMES[manifest.runtime] | _MEDIA[_modality(manifest)]
    if any(name.suffix == ".safetensors" for name in folder_files(artifact)):
        used |= _HEAD
    return [_pinned(name) for name in sorted((_imported() - _OPTIONAL) | used)]


def _imported() -> frozenset[str]:
    """Name the distributions that the server's files import, uvicorn's and FastAPI's among them."""
    return frozenset(_DISTRIBUTIONS.get(module, module) for module in closure([_SERVER]).others)


def _modality(manifest: Manifest) -> str:
    """By the task and by the processor's file: embedders of pictures are for `feature-extraction` too."""
    if "preprocessor_config.json" not in manifest.files:
        return "text"
    sound = manifest.task.startswith(("audio-", "automatic-speech"))
    return "audio" if sound else "image"


def _pinned(name: str) -> str:
    try:
        # Local labels (`+cpu`) name builds that an index need not have.
        return f"{name}=={version(name).split('+')[0]}"
    except PackageNotFoundError:
        return f"{name}{_FALLBACK.get(name, '')}"
