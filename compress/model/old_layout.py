"""Folders of early sentence-transformers, whose Transformer lies in a folder of its own (`0_Transformer`)."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from compress.core.cached import take
from compress.core.copies import clone_or_copy
from compress.core.paths import contained, folder_digest
from compress.core.regular_files import read_json
from compress.model.safety import weight_files
from compress.model.sentence import MODULES, transformer_path
from compress.model.sidecars import sidecars

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def flat_folder(folder: Path, *, cache: Path, note: Callable[[str], None]) -> Path:
    """Return the same model with its Transformer's files at the top, as transformers reads them.

    Args:
        folder: a model of any kind.
        cache: where a rearranged folder is kept.
        note: told when another run makes it, or it has to be made again.

    Returns:
        `folder` itself unless its `modules.json` names another folder for the Transformer.

    Raises:
        CompressError: that folder is missing or leads out, or files are damaged.
    """
    if not (folder / MODULES).exists() or (path := transformer_path(folder)) in ("", "."):
        return folder
    inner = contained(folder, path)
    target = cache / "flat" / folder_digest(folder)[:24]

    def make(beside: Path, lock: int) -> None:
        _copy(folder, beside, skip=path)
        _copy(inner, beside)
        for file in weight_files(inner):
            clone_or_copy(file, beside / file.name)
        _move_transformer(beside)

    take(target, make, name=f"flat copy of {folder.name}", note=note).keep()
    return target


def _copy(source: Path, target: Path, *, skip: str = "") -> None:
    for name in sidecars(source):
        if name.parts[0] != skip.partition("/")[0]:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def _move_transformer(folder: Path) -> None:
    """Have `modules.json` name the folder itself for the Transformer, which is the first module."""
    entries = read_json(folder / MODULES, code="config-invalid")
    first = min(entries, key=lambda entry: entry.get("idx", 0))
    first["path"] = ""
    (folder / MODULES).write_text(json.dumps(entries, indent=2), encoding="utf8")
