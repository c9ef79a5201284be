"""What is finished survives a kill: each step's result stands in a folder named by all that made it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.litter import FOLDERS, RUN, clean_folder, files_below, remove_litter
from compress.core.paths import folder_digest, folder_files, unwritable
from compress.core.publication import new_folder
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
        remove_litter(root)
        folder, hold = new_folder(RUN, root)
    except OSError as error:
        raise unwritable(root, error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        hold.release()


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
    for path in files_below(folder):
        with suppress(FileNotFoundError):  # a running process removed it
            stat = path.stat()
            seen[(stat.st_dev, stat.st_ino)] = stat.st_size
    return sum(seen.values())


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What became of the cache: bytes that are free again, and folders that a running process uses."""

    freed_bytes: int
    in_use: int


def clean(folder: Path) -> Cleaned:
    """Remove everything that this tool put into its cache but what a running process uses."""
    if not folder.exists():
        return Cleaned(freed_bytes=0, in_use=0)
    before = cached_bytes(folder)
    remove_litter(folder)
    in_use = sum(clean_folder(folder / name) for name in FOLDERS if (folder / name).is_dir())
    return Cleaned(freed_bytes=before - cached_bytes(folder), in_use=in_use)
