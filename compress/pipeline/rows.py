"""Rows of data as a file that the process of a step reads: JSON lines."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> str:
    """Write rows as JSON lines and return their digest."""
    text = "".join(json.dumps(row, default=_written) + "\n" for row in rows)
    path.write_text(text, encoding="utf8")
    return hashlib.sha256(text.encode()).hexdigest()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of `write_rows` again."""
    lines = path.read_text(encoding="utf8").splitlines()
    return [{name: _read(value) for name, value in json.loads(line).items()} for line in lines]


def _written(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return {"path": str(Path(value).resolve())}


def _read(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"bytes"}:
        return base64.b64decode(value["bytes"])
    return Path(value["path"]) if isinstance(value, dict) and set(value) == {"path"} else value
