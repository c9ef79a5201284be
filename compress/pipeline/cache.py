"""What is finished survives a kill: each step's result stands in a folder named by all that made it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.paths import folder_digest, folder_files, unwritable
from compress.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAKERS = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "onnxruntime-genai", "numpy")


def cache_folder() -> Path:
    """`$COMPRESS_CACHE`, else `compress` in the user's cache folder (XDG)."""
    named = os.environ.get("COMPRESS_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compress"


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for a run's rows, inside the cache, gone at its end."""
    root = cache_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="run.", dir=root)
    except OSError as error:
        raise unwritable(root, error) from None
    with folder as name:
        yield Path(name)


def package_versions(names: tuple[str, ...] = _MAKERS) -> dict[str, str]:
    """The installed versions of the packages that shape a result, this tool's first."""
    found = {"compress": VERSION}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@once
def _code_digest() -> str:
    # A result of older code is not a result of this code, whatever the version says.
    folder = Path(__file__).parents[1]
    return folder_digest(folder, [name for name in folder_files(folder) if name.suffix == ".py"])


def step_key(parent: str, *, step: str, config: dict[str, Any], inputs: dict[str, str]) -> str:
    """The name of a step's result: the digest of its parent's name and all that shapes it."""
    written = json.dumps([parent, step, config, inputs, package_versions(), _code_digest()], sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:40]


def cached_bytes(folder: Path) -> int:
    """Bytes on disk below the cache, with hard links counted once."""
    seen: dict[tuple[int, int], int] = {}
    for name in folder_files(folder):
        stat = (folder / name).stat()
        seen[(stat.st_dev, stat.st_ino)] = stat.st_size
    return sum(seen.values())


def clean(folder: Path) -> int:
    """Remove everything that this tool put into its cache; the bytes that were freed."""
    before = cached_bytes(folder) if folder.exists() else 0
    for name in ("steps", "gguf", "sampled", "failed"):
        shutil.rmtree(folder / name, ignore_errors=True)
    return before - (cached_bytes(folder) if folder.exists() else 0)
