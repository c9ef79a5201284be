"""The files beside tokenizer.json that hold ids of tokens, with new ones; and those that are dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from compress.core.positions import OFFSET_TYPES
from compress.model.safety import read_json
from compress.model.vocabulary.tokenizer import all_pieces

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CONFIGS = ("config.json", "generation_config.json")
_LISTS = ("suppress_tokens", "begin_suppress_tokens")


def config_ids(folder: Path) -> set[int]:
    """The ids that the configurations name, of special tokens mostly."""
    found: set[int] = set()
    for name in _CONFIGS:
        if (folder / name).exists():
            _walk(read_json(folder / name, code="config-invalid"), found.add)
    return {number for number in found if number >= 0}


def fixed_ids(folder: Path) -> set[int]:
    """The ids that must not change: up to the padding token's, where positions are counted from it."""
    config = read_json(folder / "config.json", code="config-missing")
    padding = config.get("pad_token_id")
    if config.get("model_type") not in OFFSET_TYPES or padding is None:
        return set()
    return set(range(padding + 1))


def _walk(value: Any, use: Any) -> Any:
    """A configuration, with `use(id)` called for every id of a token and put in its place if it gives one."""
    if not isinstance(value, dict):
        return value
    return {key: _used(key, entry, use) for key, entry in value.items()}


def _used(key: str, entry: Any, use: Any) -> Any:
    if key.endswith(("_token_id", "_token_ids")) or key in _LISTS:
        return _each(entry, use)
    return _walk(entry, use)


def _each(entry: Any, use: Any) -> Any:
    if isinstance(entry, list):
        return [_each(one, use) for one in entry]
    if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0:
        return use(entry)
    return entry


def renumber_configs(folder: Path, numbers: Mapping[int, int], *, rows: int) -> None:
    """Give the configurations new ids, and the new size wherever the vocabulary had `rows`."""
    for name in _CONFIGS:
        if (folder / name).exists():
            values = read_json(folder / name, code="config-invalid")
            values = _walk(values, lambda number: numbers.get(number, number))
            _write_json(folder / name, _resized(values, rows, len(numbers)))


def _resized(value: Any, rows: int, size: int) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        key: size if key == "vocab_size" and entry == rows else _resized(entry, rows, size)
        for key, entry in value.items()
    }


def write_tokenizer(folder: Path, document: Mapping[str, Any], numbers: Mapping[int, int]) -> None:
    """tokenizer.json as `document` says, and those of its older forms that are there: what can be written
    again is, and models of sentencepiece are dropped.
    """
    text = json.dumps(document, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf8")
    model = document["model"]
    added = {token["content"]: token["id"] for token in document.get("added_tokens") or ()}
    if (folder / "vocab.txt").exists():
        ordered = sorted(all_pieces(document).items(), key=lambda entry: entry[1])
        (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in ordered), encoding="utf8")
    if (folder / "vocab.json").exists():
        _write_json(folder / "vocab.json", model["vocab"])
    if (folder / "merges.txt").exists():
        lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]), encoding="utf8")
    if (folder / "added_tokens.json").exists():
        _write_json(folder / "added_tokens.json", added)
    if (folder / "tokenizer_config.json").exists():
        _renumber_tokenizer_config(folder / "tokenizer_config.json", numbers)
    for path in folder.glob("*.model"):
        path.unlink()


def _renumber_tokenizer_config(path: Path, numbers: Mapping[int, int]) -> None:
    values = read_json(path, code="tokenizer-invalid")
    decoder = values.get("added_tokens_decoder")
    if decoder:
        kept = {int(number): token for number, token in decoder.items() if int(number) in numbers}
        values["added_tokens_decoder"] = {str(numbers[number]): token for number, token in kept.items()}
    _write_json(path, values)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf8")
