"""The files beside the weights that make a folder complete: configs, tokenizer, processor, pooling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core import regular_files
from compress.core.copies import clone_or_copy
from compress.core.paths import folder_files
from compress.model.safety import INDEX, read_json, weight_files
from compress.model.sidecar_names import TOKENIZER, is_sidecar
from compress.model.tokenizer import load_tokenizer, write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from compress.core.copies import Add

_NAME_CODE = ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
              "video_preprocessor_config.json")  # fmt: skip
"""Files whose `auto_map` makes transformers run Python code that came with the model."""


def sidecars(source: Path, *, skip: Iterable[str] = ()) -> list[Path]:
    """List the files beside a checkpoint's weights that programs read, relative to its folder.

    Args:
        source: The checkpoint.
        skip: Names to leave out.

    Returns:
        Their names, sorted: weights, other exports and whatever else lies there are not among them.
    """
    left = {Path(name) for name in skip}
    modules = _module_folders(source)
    return [name for name in folder_files(source) if name not in left and is_sidecar(name, modules=modules)]


def is_tokenizer(name: Path) -> bool:
    """Whether a file belongs to the tokenizer."""
    return name.name in TOKENIZER


def copy_sidecars(source: Path, target: Path, *, text: bool, skip: Iterable[str] = ()) -> None:
    """Give `target` every file of a checkpoint but its weights, other exports of it and what to `skip`.

    Where `text` is true the target's `tokenizer.json` (which the tokenizers library and transformers.js
    read) is the tokenizer that transformers builds from all files.
    """
    for name in sidecars(source, skip=skip):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(source / name, target / name)
    if text:
        write_tokenizer(load_tokenizer(source), target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, without the code of its repository that it names."""
    if source.name in _NAME_CODE:
        values = read_json(source, code="config-invalid")
        if values.pop("auto_map", None) is not None:
            target.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf8")
            return
    shutil.copyfile(source, target)


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
    """The folders that modules.json names; what it means is checked where it is read to be run."""
    try:
        modules = regular_files.read_json(source / "modules.json", code="config-invalid")
    except FileNotFoundError:
        return set()
    modules = modules if isinstance(modules, list) else []
    paths = [module.get("path") for module in modules if isinstance(module, dict)]
    return {path.split("/")[0] for path in paths if isinstance(path, str)} - {""}
