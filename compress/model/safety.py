"""What is refused before anything of a model is believed: pickles, repository code, shards elsewhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from compress.core import regular_files
from compress.core.checkpoint_files import IndexFile
from compress.core.errors import CompressError
from compress.core.paths import contained
from compress.core.schema import validated
from compress.core.visible import visible
from compress.model.headers import read_header

if TYPE_CHECKING:
    from pathlib import Path

    from compress.model.headers import TensorHeader

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def read_json(path: Path, *, code: str) -> dict[str, Any]:
    """Parse a JSON file whose top level is a mapping.

    Raises:
        CompressError: with `code`, when it is missing, unreadable or something else.
    """
    try:
        values = regular_files.read_json(path, code=code)
    except FileNotFoundError:
        raise CompressError(code, f"no {path.name} in {path.parent}", hint="is this a model?") from None
    if not isinstance(values, dict):
        raise CompressError(code, f"{path}: expected a mapping", hint="check the file")
    return values


def refuse_repository_code(config: dict[str, Any]) -> None:
    """Refuse a configuration that asks for Python code of its repository.

    Raises:
        CompressError: `auto_map` is there.
    """
    if config.get("auto_map"):
        raise CompressError(
            "repository-code",
            f"config.json asks for repository code (auto_map: {', '.join(config['auto_map'])})",
            hint="such code is never run; remove auto_map if transformers itself knows the model",
        )


_OF_PEFT = re.compile(r"^base_model\.model\.|\.(lora_[AB]|base_layer)\.")


def refuse_adapter(folder: Path) -> None:
    """Refuse an adapter, whose weights are differences to those of another model.

    Raises:
        CompressError: the folder is PEFT's, or its tensors carry PEFT's names.
    """
    if (folder / "adapter_config.json").exists():
        base = read_json(folder / "adapter_config.json", code="config-invalid")
        raise _adapter(f"{folder} is an adapter", base.get("base_model_name_or_path"))
    names = read_headers(folder) if (folder / INDEX).exists() or (folder / SINGLE).exists() else {}
    adapted = [name for name in names if _OF_PEFT.search(name)]
    if adapted:
        raise _adapter(f"{folder} holds an adapter that was not merged: '{visible(adapted[0])}'", None)


def _adapter(message: str, base: object) -> CompressError:
    of = f" of {visible(base)}" if isinstance(base, str) and base else ""
    hint = (
        "merge it first: peft.AutoPeftModel.from_pretrained(FOLDER).merge_and_unload().save_pretrained(NEW)"
    )
    return CompressError("adapter-unmerged", f"{message}{of} (LoRA or another kind of PEFT's)", hint=hint)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint, one or sharded.

    Raises:
        CompressError: there are none, only pickles, a shard is missing, or a name leads out.
    """
    if (folder / INDEX).exists():
        return _shards(folder)
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise CompressError(
            "pickle-refused",
            f"{folder} has only pickled weights ({', '.join(pickles[:3])}), expected safetensors",
            hint="load it where you trust it and save it again with save_pretrained",
        )
    raise CompressError(
        "weights-missing", f"no {SINGLE} in {folder}", hint="save the model with save_pretrained"
    )


def write_shard_index(folder: Path, places: dict[str, str]) -> None:
    """Say in which of a checkpoint's files each tensor is, by the tensors' names."""
    size = sum((folder / name).stat().st_size for name in set(places.values()))
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True), encoding="utf8")


def _shards(folder: Path) -> list[Path]:
    index = read_json(folder / INDEX, code="index-invalid")
    mapping = validated(IndexFile, index, where=INDEX, code="index-invalid").weight_map
    files = []
    for name in sorted(set(mapping.values())):
        path = folder / name
        if ".." in path.parts or path.is_absolute() != folder.is_absolute() or "/" in name:
            contained(folder, name)
        if not path.exists():
            raise CompressError("weights-missing", f"no {name} in {folder}", hint="download all shards")
        files.append(path)
    return files


def checkpoint_bytes(folder: Path) -> int:
    """Bytes of a checkpoint's weights."""
    return sum(path.stat().st_size for path in weight_files(folder))


def read_headers(folder: Path) -> dict[str, TensorHeader]:
    """Every tensor of a checkpoint by name, with all headers checked.

    Raises:
        CompressError: as `weight_files` and `read_header` do.
    """
    tensors: dict[str, TensorHeader] = {}
    for path in weight_files(folder):
        tensors.update(read_header(path))
    return tensors
