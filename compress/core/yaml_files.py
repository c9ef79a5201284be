"""Read YAML that a stranger may have written: of bounded size, depth and number of values.

Aliases make a document of a few hundred bytes stand for billions of values ("billion laughs"), or for
itself; the parser is written in Python, so that megabytes would take minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from compress.core.errors import CompressError
from compress.core.foreign import reason
from compress.core.regular_files import MAX_JSON_DEPTH, read_text

if TYPE_CHECKING:
    from pathlib import Path

MAX_YAML_BYTES = 256 * 1024
"""Settings and recipes in use have fewer than 10 KB."""

MAX_YAML_VALUES = 100_000
"""Values after aliases are replaced by what they stand for."""


def read_yaml(path: Path, *, code: str) -> dict[str, Any]:
    """Parse a YAML file whose top level is a mapping.

    Raises:
        CompressError: With `code`, when the file is missing, unreadable, or something else.
    """
    try:
        text = read_text(path, limit=MAX_YAML_BYTES, code=code)
    except FileNotFoundError:
        raise CompressError(code, f"no such file: {path}", hint="check the path") from None
    values = parse_yaml(text, where=str(path), code=code)
    if not isinstance(values, dict):
        found = type(values).__name__
        raise CompressError(code, f"{path}: expected a mapping, found {found}", hint="see README")
    return values


def parse_yaml(text: str, *, where: str, code: str) -> Any:
    """Parse YAML of bounded depth and number of values; `where` names its place in errors.

    Raises:
        CompressError: It is not YAML, is nested deeper, refers to itself, or has too many values.
    """
    try:
        values = yaml.safe_load(text)
    except RecursionError:
        raise _unbounded(where, code) from None
    except (yaml.YAMLError, ValueError, OverflowError, AttributeError) as error:
        # Beside YAMLError: dates that are none, numbers of too many digits, and tags on the wrong node.
        raise CompressError(code, f"{where} is not YAML: {reason(error)}", hint="check the file") from None
    if _values(values, MAX_JSON_DEPTH, {}) > MAX_YAML_VALUES:
        raise _unbounded(where, code)
    return values


def _values(value: Any, levels: int, known: dict[int, int]) -> int:
    """Count the values below `value`, aliases counted wherever they stand; too deep counts as too many."""
    if not isinstance(value, (dict, list, set, tuple)):
        return 1
    if levels == 0:
        return MAX_YAML_VALUES + 1
    if id(value) not in known:
        known[id(value)] = MAX_YAML_VALUES + 1  # while its own parts are counted: it refers to itself
        parts = [*value, *value.values()] if isinstance(value, dict) else list(value)
        known[id(value)] = 1 + sum(_values(part, levels - 1, known) for part in parts)
    return known[id(value)]


def _unbounded(where: str, code: str) -> CompressError:
    message = f"{where} is nested too deeply or has too many values"
    return CompressError(code, message, hint="this is not what such a file holds: check it")
