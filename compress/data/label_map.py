"""The user's own mapping of labels, from a flag or a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.regular_files import MAX_CONFIG_BYTES, read_json
from compress.core.yaml_files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE = "label-map-invalid"


def read_label_map(value: str | Mapping[str, Any] | None) -> dict[str, str]:
    """Read a mapping from labels to classes.

    Args:
        value: `negative=0,positive=1`, the name of a JSON or YAML file that holds a mapping, or the
            mapping itself (from a project file). None: there is none.

    Returns:
        Classes (names or numbers, as text) by label.

    Raises:
        CompressError: The file cannot be read, or it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, str):
        return _texts(value, "label_map")
    if value.lower().endswith((".json", ".yaml", ".yml")) and "=" not in value:
        return _texts(_file(Path(value)), value)
    pairs = [pair.rpartition("=") for pair in value.split(",") if pair.strip()]
    if not pairs or not all(label.strip() and target.strip() for label, _, target in pairs):
        message = f"'{value}' is no mapping of labels"
        raise CompressError(_CODE, message, hint="write --label-map negative=0,positive=1, or name a file")
    return {label.strip(): target.strip() for label, _, target in pairs}


def _file(path: Path) -> Any:
    if not path.exists():
        raise CompressError(_CODE, f"no such file: {path}", hint="check --label-map")
    if path.suffix.lower() == ".json":
        return read_json(path, limit=MAX_CONFIG_BYTES, code=_CODE)
    return read_yaml(path, code=_CODE)


def _texts(values: Any, where: str) -> dict[str, str]:
    if not isinstance(values, dict) or not values:
        raise CompressError(_CODE, f"{where} holds no mapping", hint='write {"negative": 0, "positive": 1}')
    wrong = [target for target in values.values() if not isinstance(target, (str, int))]
    if wrong:
        message = (
            f"{where} maps a label to {json.dumps(wrong[0], default=str)[:40]}, expected a name or a number"
        )
        raise CompressError(_CODE, message, hint='write {"negative": 0, "positive": 1}')
    return {str(label): str(target) for label, target in values.items()}
