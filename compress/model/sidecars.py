"""The files beside the weights that make a folder complete: configs, tokenizer, processor, pooling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.copies import clone_or_copy
from compress.core.paths import folder_files
from compress.model.quantized import INDEX as QUANTIZED
from compress.model.safety import INDEX, SINGLE, weight_files
from compress.model.tokenizer import load_tokenizer, write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from compress.core.copies import Add

_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".md"}
_MODULES = {".json", ".safetensors"}
"""Inside sentence-transformers' module folders (`2_Dense`) small weights belong to the pooling."""


TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
             "vocab.txt", "vocab.json", "merges.txt")  # fmt: skip
"""A tokenizer's files, beside models of sentencepiece (`*.model`)."""


def sidecars(source: Path, *, skip: Iterable[str] = ()) -> list[Path]:
    """Every file of a checkpoint but its weights, other exports of it and what to `skip`, relative to
    its folder.
    """
    left = {Path(name) for name in (INDEX, SINGLE, QUANTIZED, *skip)}
    modules = _module_folders(source)
    found = []
    for name in folder_files(source):
        top = name.parts[0]
        wanted = name.suffix in _SUFFIXES and len(name.parts) == 1
        wanted = wanted or (top in modules and name.suffix in _MODULES)
        if wanted and name not in left:
            found.append(name)
    return found


def is_tokenizer(name: Path) -> bool:
    """Whether a file belongs to the tokenizer."""
    return name.name in TOKENIZER or name.suffix == ".model"


def copy_sidecars(source: Path, target: Path, *, text: bool, skip: Iterable[str] = ()) -> None:
    """Give `target` every file of a checkpoint but its weights, other exports of it and what to `skip`.

    Where `text` is true the target's `tokenizer.json` (which the tokenizers library and transformers.js
    read) is the tokenizer that transformers builds from all files.
    """
    for name in sidecars(source, skip=skip):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    if text:
        write_tokenizer(load_tokenizer(source), target)


def inherit_checkpoint(
    source: Path, target: Path, *, skip: Collection[str] = (), add: Add = clone_or_copy
) -> None:
    """Add to `target`, by `add`, what a step left of a checkpoint as it was: its weights unless there are new
    ones, its tokenizer unless there is a new one, and the files beside them.
    """
    names = [name for name in sidecars(source) if not (is_tokenizer(name) and _has_tokenizer(target))]
    if not list(target.glob("*.safetensors")):
        index = [Path(INDEX)] if (source / INDEX).exists() else []
        names += [path.relative_to(source) for path in weight_files(source)] + index
    for name in names:
        if name.as_posix() not in skip and not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            add(source / name, target / name)


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer.json").exists()


def _module_folders(source: Path) -> set[str]:
    path = source / "modules.json"
    if not path.exists():
        return set()
    modules = json.loads(path.read_text(encoding="utf8"))
    return {module["path"].split("/")[0] for module in modules if module.get("path")}
