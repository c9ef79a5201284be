"""The files beside the weights that make a folder complete: configs, tokenizer, processor, pooling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.paths import folder_files
from compress.model.inputs import load_tokenizer
from compress.model.safety import INDEX, SINGLE

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIXES = {".json", ".txt", ".model", ".jinja", ".md"}
_MODULES = {".json", ".safetensors"}
"""Inside sentence-transformers' module folders (`2_Dense`) small weights belong to the pooling."""


def copy_sidecars(source: Path, target: Path, *, text: bool, skip: Iterable[str] = ()) -> None:
    """Give `target` every file of a checkpoint but its weights, other exports of it and what to `skip`.

    Where `text` is true and the tokenizer has no `tokenizer.json` (which the tokenizers library and
    transformers.js read), one is made from the files that are there.
    """
    left = {Path(name) for name in (INDEX, SINGLE, *skip)}
    modules = _module_folders(source)
    for name in folder_files(source):
        top = name.parts[0]
        wanted = name.suffix in _SUFFIXES and len(name.parts) == 1
        wanted = wanted or (top in modules and name.suffix in _MODULES)
        if wanted and name not in left:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)
    if text and not (target / "tokenizer.json").exists():
        load_tokenizer(source).save_pretrained(target)


def _module_folders(source: Path) -> set[str]:
    path = source / "modules.json"
    if not path.exists():
        return set()
    modules = json.loads(path.read_text(encoding="utf8"))
    return {module["path"].split("/")[0] for module in modules if module.get("path")}
