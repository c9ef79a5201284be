"""compress.json: what an artifact was made from, and a digest of every byte of it.

A digest is no signature: it finds damage and careless edits. Who changes a file and writes a new
manifest for it is found by comparing `digest` with the one that was passed on beside the artifact.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import PurePosixPath
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.paths import MANIFEST, file_digest
from compress.core.recipe import Recipe, Step
from compress.core.regular_files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = MANIFEST

_SHA256 = r"^[0-9a-f]{64}$"


class FileFacts(Frozen):
    """A file's digest and its size in bytes."""

    sha256: str = Field(pattern=_SHA256)
    size: int = Field(ge=0)


class Source(Frozen):
    """The model that was compressed: as it was named, its commit if it has one, the digest of its bytes."""

    ref: str
    revision: str | None = None
    digest: str


class RecipeFacts(Frozen):
    """The steps that made the artifact, in order, with the whole of their configurations."""

    name: str
    steps: tuple[Step, ...]


class Manifest(Frozen):
    """The whole of `compress.json`. `digest` is the sha256 of this document without it."""

    schema_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    task: str
    runtime: str
    source: Source
    recipe: RecipeFacts
    seed: int
    host: dict[str, Any]
    versions: dict[str, str]
    files: dict[str, FileFacts]
    """By path relative to the folder, with `/`. Every file but this one."""
    digest: str = Field(pattern=_SHA256)


def write_manifest(
    folder: Path,
    *,
    created: str,
    task: str,
    source: Source,
    recipe: Recipe,
    seed: int,
    host: Mapping[str, Any],
    versions: Mapping[str, str],
) -> Manifest:
    """Write `compress.json` for all that is in `folder`; nothing may be added afterwards.

    Raises:
        CompressError: the folder holds something that is no plain file (`manifest-invalid`).
    """
    problems = [problem for _, problem in _walk(folder) if problem]
    if problems:
        raise CompressError("manifest-invalid", problems[0], hint="publish plain files alone")
    facts = {name: _facts(folder / name) for name, _ in _walk(folder) if name != NAME}
    unsigned = {
        "schema_version": 1,
        "created": created,
        "task": task,
        "runtime": recipe.runtime,
        "source": source.model_dump(),
        "recipe": RecipeFacts(name=recipe.name, steps=recipe.steps).model_dump(mode="json"),
        "seed": seed,
        "host": dict(host),
        "versions": dict(versions),
        "files": {name: fact.model_dump() for name, fact in facts.items()},
    }
    text = _canonical({**unsigned, "digest": _digest(unsigned)})
    (folder / NAME).write_text(text, encoding="utf8", newline="\n")
    return Manifest.model_validate_json(text)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact, checked against its own digest.

    Raises:
        CompressError: it is missing (`manifest-missing`), is something else or was changed
            (`manifest-invalid`).
    """
    path = folder / NAME
    hint = "name a folder that `compress run` published"
    try:
        content = read_bytes(path, code="manifest-invalid")
        manifest = Manifest.model_validate_json(content)
        values = json.loads(content)
    except FileNotFoundError:
        raise CompressError("manifest-missing", f"no {NAME} in {folder}", hint=hint) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CompressError("manifest-invalid", f"{path}: {where}: {first['msg']}", hint=hint) from None
    digest = values.pop("digest")
    # Bytes are compared too: a change of white space or of the order of keys leaves the values alone.
    if digest != _digest(values) or content != _canonical({**values, "digest": digest}).encode():
        message = f"{path} was changed: its digest is not that of its content"
        raise CompressError("manifest-invalid", message, hint="get the artifact again")
    return manifest


def verify_folder(folder: Path) -> list[str]:
    """What differs between a folder and its manifest, one line each; empty when nothing does.

    Finds files that are missing, added or changed, names that lead out of the folder, links that do,
    and anything that is neither file nor folder. Nothing outside the folder is opened.

    Raises:
        CompressError: there is no manifest, or it was changed itself.
    """
    manifest = read_manifest(folder)
    found = dict(_walk(folder))
    problems = [problem for problem in found.values() if problem]
    problems += [f"{name}: added" for name in found if name not in manifest.files and name != NAME]
    for name, facts in manifest.files.items():
        if _escapes(name):
            problems.append(f"{name!r}: names a place outside the folder")
        elif name not in found:
            problems.append(f"{name}: missing")
        elif not found[name]:
            problems += _differences(folder / name, name, facts)
    return problems


def _differences(path: Path, name: str, expected: FileFacts) -> list[str]:
    try:
        found = _facts(path)
    except OSError as error:
        return [f"{name}: cannot be read ({error.strerror or error})"]
    if found.size != expected.size:
        return [f"{name}: changed (expected {expected.size:,} bytes, found {found.size:,})"]
    return [] if found == expected else [f"{name}: changed (its sha256 differs)"]


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, problem) of everything below `folder` that is no folder, sorted; links are not followed
    into folders.
    """
    for top, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        linked = [name for name in folders if os.path.islink(os.path.join(top, name))]
        for name in sorted([*files, *linked]):
            path = PurePosixPath(os.path.relpath(top, folder).replace(os.sep, "/")) / name
            yield path.as_posix(), _irregular(folder, path.as_posix())


def _irregular(folder: Path, name: str) -> str:
    """Why `name` cannot be trusted to be a plain file of this folder; empty when it can."""
    path = folder / name
    if name.encode("utf8", "replace").decode() != name:
        return f"{name!a}: its name is not UTF-8"
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            return f"{name}: a link that leads out of the folder"
        if path.is_symlink() and not path.is_file():
            return f"{name}: a link to something that is no file"
        return "" if S_ISREG(path.stat().st_mode) else f"{name}: no plain file"
    except RuntimeError:  # what pathlib makes of ELOOP
        return f"{name}: a link to itself"
    except OSError as error:
        return f"{name}: cannot be read ({error.strerror or error})"


def _escapes(name: str) -> bool:
    path = PurePosixPath(name)
    drive = len(name) > 1 and name[1] == ":"
    plain = path.as_posix() == name and name not in ("", ".", NAME)
    return drive or not plain or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name


def _facts(path: Path) -> FileFacts:
    return FileFacts(sha256=file_digest(path), size=path.stat().st_size)


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(values).encode()).hexdigest()


def _canonical(values: Mapping[str, Any]) -> str:
    """One spelling for one value: keys sorted, two spaces, ASCII."""
    return json.dumps(values, indent=2, sort_keys=True) + "\n"
