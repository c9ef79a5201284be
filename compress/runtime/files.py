"""The JSON files that lie beside a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from pathlib import Path


def read_json(path: Path) -> Any:
    """What a JSON file holds; an empty mapping where there is no such file.

    Raises:
        CompressError: the file is there, and is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise CompressError(
            "config-invalid", f"{path} cannot be read as JSON: {reason}", hint="copy it from the original"
        ) from None


def read_settings(path: Path) -> dict[str, Any]:
    """What a JSON file with a mapping at its top holds; empty where there is no such file.

    Raises:
        CompressError: the file is there, and is not a JSON mapping.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        found = type(values).__name__
        message = f"{path}: expected a mapping, found {found}"
        raise CompressError("config-invalid", message, hint="copy it from the original")
    return values


def same_tokenizer(folder: Path, other: Path) -> bool:
    """Whether two models cut text in the same way, or read none."""
    files = [one / "tokenizer.json" for one in (folder, other)]
    if not all(path.is_file() for path in files):
        return not any(path.is_file() for path in files)
    first, second = (path.stat() for path in files)
    same_file = (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)
    return same_file or files[0].read_bytes() == files[1].read_bytes()
