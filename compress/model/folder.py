"""Look at every file of a model's folder before a library opens one.

transformers, tokenizers and safetensors open files by themselves and wait for the other end of a pipe, read a
sparse file of gigabytes, or raise whatever they meet in JSON of other types. What is wrong is told here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core import checkpoint_files as files
from compress.core.errors import CompressError
from compress.core.regular_files import MAX_CONFIG_BYTES, MAX_JSON_BYTES, open_regular, read_json
from compress.core.schema import validated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

MAX_ENTRIES = 100_000
"""Files and folders below a model's folder."""

_SCHEMAS: dict[str, type[BaseModel]] = {
    "config.json": files.ConfigFile,
    "generation_config.json": files.GenerationFile,
    "tokenizer_config.json": files.TokenizerFile,
    "special_tokens_map.json": files.SpecialTokensFile,
    "added_tokens.json": files.AddedTokensFile,
    "vocab.json": files.VocabularyFile,
    "model.safetensors.index.json": files.IndexFile,
    "modules.json": files.ModulesFile,
    "config_sentence_transformers.json": files.PromptsFile,
    "sentence_bert_config.json": files.SentenceFile,
    "preprocessor_config.json": files.ProcessorFile,
}

_CODES = {
    "config.json": "config-missing",
    "model.safetensors.index.json": "index-invalid",
    "tokenizer_config.json": "tokenizer-invalid",
    "special_tokens_map.json": "tokenizer-invalid",
    "added_tokens.json": "tokenizer-invalid",
    "vocab.json": "tokenizer-invalid",
    "preprocessor_config.json": "processor-invalid",
}
"""Of files that are no JSON mapping at all; `config-invalid` elsewhere."""

_LIMITS = {".json": MAX_JSON_BYTES, ".jinja": MAX_JSON_BYTES, ".model": MAX_JSON_BYTES, ".txt": 2**30}
"""Bytes of a file by its suffix: of what is read whole, or hashed to know the model by."""


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds a file which may not be opened, or JSON that is not what its name says.

    Raises:
        CompressError: A name is not UTF-8, a link leads in a circle or out of the folder, a file is a pipe, a
            device or a socket, or too large; or a known JSON file does not fit its schema.
    """
    roots = _allowed_roots(folder)
    for path in _entries(folder):
        _refuse_name(path, folder)
        if path.is_symlink():
            _refuse_link(path, folder, roots)
        if not path.is_dir() and (path.exists() or not path.is_symlink()):
            _refuse_irregular(path)
    for name, schema in _SCHEMAS.items():
        if os.path.lexists(folder / name):
            _check_json(folder / name, schema)


def _entries(folder: Path) -> Iterator[Path]:
    """Every file and folder below, links not followed.

    Raises:
        CompressError: There are too many, or a folder cannot be listed.
    """
    count = 0
    for top, folders, names in os.walk(folder, onerror=_refuse_unlisted):
        for name in (*folders, *names):
            count += 1
            if count > MAX_ENTRIES:
                message = f"{folder} holds more than {MAX_ENTRIES:,} files"
                raise CompressError("model-unknown", message, hint="name the folder of the model alone")
            yield Path(top, name)


def _refuse_unlisted(error: OSError) -> None:
    message = f"cannot list {error.filename}: {error.strerror}"
    raise CompressError("file-invalid", message, hint="check the folder's permissions")


def _refuse_name(path: Path, folder: Path) -> None:
    try:
        str(path).encode("utf8")
    except UnicodeEncodeError:
        name = str(path.relative_to(folder))
        message = f"{folder} holds a file whose name is not UTF-8: {name!a}"
        raise CompressError("file-invalid", message, hint="rename it") from None


def _allowed_roots(folder: Path) -> list[Path]:
    """Where links may lead: the folder, and in the Hub's cache its blobs."""
    whole = folder.resolve()
    return [whole, whole.parents[1] / "blobs"] if whole.parent.name == "snapshots" else [whole]


def _refuse_link(path: Path, folder: Path, roots: list[Path]) -> None:
    name = path.relative_to(folder)
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: Python 3.11's word for a circle
        message = f"'{name}' is a link that leads in a circle"
        raise CompressError("file-invalid", message, hint="replace it with the file itself") from None
    if not any(target.is_relative_to(root) for root in roots):
        message = f"'{name}' links to {target}, out of {folder}"
        raise CompressError("path-escapes", message, hint="replace the link with the file itself")


def _refuse_irregular(path: Path) -> None:
    """Open and close a file: pipes, devices and sockets are refused without waiting for them."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
    limit = _limit(path)
    if limit is not None and size > limit:
        message = f"{path} has {size:,} bytes, expected at most {limit:,}"
        raise CompressError("file-invalid", message, hint="this is not what such a file holds: check it")


def _limit(path: Path) -> int | None:
    known = path.name in _SCHEMAS and path.name not in ("model.safetensors.index.json", "vocab.json")
    return MAX_CONFIG_BYTES if known else _LIMITS.get(path.suffix)


def _check_json(path: Path, schema: type[BaseModel]) -> None:
    code = _CODES.get(path.name, "config-invalid")
    try:
        values = read_json(path, code=code)
    except FileNotFoundError:
        message = f"'{path.name}' links to a file that is not there"
        raise CompressError(code, message, hint="replace the link with the file itself") from None
    if not isinstance(values, (dict, list)):
        raise CompressError(code, f"{path}: expected a mapping", hint="check the file")
    validated(schema, values, where=str(path), code=code if code != "config-missing" else "config-invalid")
