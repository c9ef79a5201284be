"""A checkpoint whose `tokenizer.json` says what transformers builds from all of its files."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

from compress.core.cached import take
from compress.core.copies import clone_or_copy
from compress.core.errors import CompressError
from compress.core.paths import folder_digest
from compress.core.regular_files import read_json
from compress.core.scripts import VARIED
from compress.core.visible import visible
from compress.model.safety import INDEX, weight_files
from compress.model.sidecars import sidecars
from compress.model.tokenizer import FILE, SETTINGS, backend_of, load_tokenizer, read_plain, write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def tokenizer_folder(
    folder: Path, *, cache: Path, note: Callable[[str], None], name: str | None = None
) -> Path:
    """Return the same checkpoint with the tokenizer that transformers builds as its `tokenizer.json`.

    Args:
        folder: A checkpoint with a tokenizer.
        cache: Where a checkpoint with another `tokenizer.json` is kept; its weights are links.
        note: Takes a line where one is written.
        name: The checkpoint's name on the Hub, by which transformers chooses another class for some.

    Returns:
        `folder` itself where its `tokenizer.json` says all of it.

    Raises:
        CompressError: The tokenizer cannot be read or written, or is another once it is read again.
    """
    tokenizer = load_tokenizer(folder, name=name)
    backend = backend_of(tokenizer)
    named = name is not None and type(load_tokenizer(folder)) is not type(tokenizer)
    if not named and (folder / FILE).exists() and read_plain(folder / FILE) == backend.to_str():
        return folder
    target = cache / "tokenizers" / _key(folder, named)

    def make(beside: Path, _: int) -> None:
        _copy(folder, beside)
        write_tokenizer(tokenizer, beside)
        if named:
            _write_class(beside)
        refuse_unlike(load_tokenizer(beside), tokenizer)

    take(target, make, name="tokenizer", note=note).keep()
    reason = "its settings say more" if (folder / FILE).exists() else "there is none"
    note(f"tokenizer.json is written as transformers reads this tokenizer: {reason}")
    return target


def refuse_unlike(written: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that transformers reads otherwise once it was written.

    Raises:
        CompressError: Naming the first text that differs.
    """
    readings = (one(list(VARIED), verbose=False)["input_ids"] for one in (written, tokenizer))
    for text, found, expected in zip(VARIED, *readings, strict=True):
        if found != expected:
            given = visible(repr(text[:60]))
            message = f"written anew, the tokenizer reads {given} as {found[:9]}, not as {expected[:9]}"
            hint = "save it with transformers 5 and check what it reads"
            raise CompressError("tokenizer-differs", message, hint=hint)


def _write_class(folder: Path) -> None:
    """Have a folder's tokenizer read from `tokenizer.json` as it is, whatever the folder is called."""
    settings = read_json(folder / SETTINGS, code="tokenizer-invalid")
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / SETTINGS).write_text(json.dumps(settings, ensure_ascii=False, indent=2), encoding="utf8")


def _key(folder: Path, named: bool) -> str:
    """Name a folder by its small files and by what its weights look like from outside."""
    digest = hashlib.sha256(f"{folder_digest(folder, sidecars(folder))}\0{named}\n".encode())
    for path in weight_files(folder):
        status = path.stat()
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _copy(folder: Path, target: Path) -> None:
    index = [folder / INDEX] if (folder / INDEX).exists() else []
    for path in [*(folder / name for name in sidecars(folder)), *index]:
        place = target / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    for path in weight_files(folder):
        try:
            (target / path.name).symlink_to(path.resolve())
        except OSError:  # a system where that takes a privilege
            clone_or_copy(path, target / path.name)
