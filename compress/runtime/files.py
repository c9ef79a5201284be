"""The JSON files that lie beside a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core import regular_files
from compress.core.errors import CompressError
from compress.core.schema import validated
from compress.runtime.schemas import SCHEMAS, Module

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

MODULES = "modules.json"
_NAME_CODE = ("config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
              "video_preprocessor_config.json")  # fmt: skip
"""Files in which `auto_map` names Python code that came with a model."""


def read_json(path: Path) -> Any:
    """Read a JSON file; an empty mapping where there is no such file.

    Raises:
        CompressError: The file is there, and is no regular file or not JSON.
    """
    try:
        return regular_files.read_json(path, code="config-invalid")
    except FileNotFoundError:
        return {}


def read_settings(path: Path, schema: type[BaseModel] | None = None) -> dict[str, Any]:
    """Read a JSON file with a mapping at its top; empty where there is no such file.

    Args:
        path: The file.
        schema: What its keys may hold; None takes the schema of the file's name, if it has one.

    Returns:
        The mapping as it was written. Keys of the schema hold what it says, or are left out.

    Raises:
        CompressError: The file is there and is no regular file, not a JSON mapping, or has a value that the
            schema refuses.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        message = f"{path}: expected a mapping, found {type(values).__name__}"
        raise CompressError("config-invalid", message, hint="copy it from the original")
    schema = schema or SCHEMAS.get(path.name)
    if schema is not None:
        validated(schema, values, where=str(path))
    return values


def read_modules(folder: Path) -> tuple[Module, ...]:
    """Read the modules of `modules.json`, in the order in which they run; none without the file.

    Raises:
        CompressError: The file is there, and is no list of modules.
    """
    path = folder / MODULES
    entries = read_json(path) or []
    if not isinstance(entries, list):
        message = f"{path}: expected a list of modules, found {type(entries).__name__}"
        raise CompressError("config-invalid", message, hint="copy it from the original")
    modules = [
        validated(Module, entry, where=f"{path}, module {number}") for number, entry in enumerate(entries)
    ]
    return tuple(sorted(modules, key=lambda module: module.idx))


def refuse_repository_code(folder: Path) -> None:
    """Refuse an artifact that would make transformers run code of its own: this tool publishes none.

    Raises:
        CompressError: A file has an `auto_map`, or cannot be read.
    """
    for name in _NAME_CODE:
        if read_settings(folder / name).get("auto_map"):
            message = f"{folder / name} asks for code of the model's repository (auto_map)"
            raise CompressError("repository-code", message, hint="such code is never run; remove auto_map")


def same_tokenizer(folder: Path, other: Path) -> bool:
    """Whether two models cut text in the same way, or read none."""
    files = [one / "tokenizer.json" for one in (folder, other)]
    if not all(path.is_file() for path in files):
        return not any(path.is_file() for path in files)
    first, second = (path.stat() for path in files)
    same_file = (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    return same_file or files[0].read_bytes() == files[1].read_bytes()
