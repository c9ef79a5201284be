"""The tokenizer that transformers builds from a checkpoint, as the `tokenizer.json` that others read.

transformers takes more than `tokenizer.json` into account: `tokenizer_config.json` may lower-case, add
tokens, spaces and ends of a text, and many classes (`BertTokenizer`, `RobertaTokenizer`, `GPT2Tokenizer`)
take only the vocabulary from the file. Clients of the tokenizers library and transformers.js read the file
as it is, so the file that is published says all of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from compress.core.errors import CompressError
from compress.core.regular_files import MAX_CONFIG_BYTES, read_json
from compress.core.visible import visible
from compress.model.quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
_VOCABULARIES = (FILE, "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model",
                 "tokenizer.model")  # fmt: skip
_NO_LIMIT = 10**9
"""transformers writes 1e30 where a tokenizer has no `model_max_length`."""


def load_tokenizer(folder: Path, *, name: str | None = None) -> Any:
    """Load the tokenizer of a checkpoint with transformers, without running code of its repository.

    Args:
        folder: The checkpoint's folder.
        name: Its name on the Hub, by which transformers chooses another class for some.

    Returns:
        What `AutoTokenizer` builds.

    Raises:
        CompressError: There is none, or it cannot be read.
    """
    from transformers import AutoConfig, AutoTokenizer

    if not has_tokenizer(folder):
        message = f"no tokenizer in {folder}"
        raise CompressError("tokenizer-missing", message, hint="save the tokenizer beside the model")
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers():
            if name is not None:
                options["config"] = AutoConfig.from_pretrained(folder, **options)
                options["config"]._name_or_path = name
            return AutoTokenizer.from_pretrained(folder, **options)
    except Exception as error:  # transformers and tokenizers raise whatever they meet
        reason = " ".join(str(error).split())[:200]
        message = f"cannot read the tokenizer in {folder}: {reason}"
        raise CompressError("tokenizer-invalid", message, hint="save it again") from error


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds a vocabulary that `load_tokenizer` reads."""
    return any((folder / name).exists() for name in _VOCABULARIES)


def backend_of(tokenizer: Any) -> Tokenizer:
    """Copy what a tokenizer of transformers computes with.

    Args:
        tokenizer: What `load_tokenizer` returns.

    Returns:
        An independent tokenizer that neither pads nor truncates.

    Raises:
        CompressError: It is written in Python alone, so that no `tokenizer.json` can say what it does.
    """
    name = type(tokenizer).__name__
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        message = f"{name} is written in Python alone, expected one that has a {FILE}"
        raise CompressError("tokenizer-unsupported", message, hint="choose a model with a fast tokenizer")
    try:
        copy = Tokenizer.from_str(backend.to_str())
    except Exception as error:  # tokenizers raises Exception itself
        message = f"{name} cannot be written as {FILE}: {str(error).splitlines()[0]}"
        raise CompressError(
            "tokenizer-unsupported", message, hint="choose a model with a fast tokenizer"
        ) from None
    copy.no_padding()
    copy.no_truncation()
    copy.encode_special_tokens = tokenizer.split_special_tokens
    return copy


def write_tokenizer(tokenizer: Any, target: Path) -> None:
    """Make `tokenizer.json` and its settings in a folder say what transformers builds from a checkpoint.

    Args:
        tokenizer: What `load_tokenizer` returns for the checkpoint.
        target: A folder with copies of the checkpoint's tokenizer files.

    Raises:
        CompressError: It cannot be written so.
    """
    backend = backend_of(tokenizer)
    if not (target / FILE).exists():
        tokenizer.save_pretrained(target)
    elif read_plain(target / FILE) != backend.to_str():
        tokenizer.backend_tokenizer.save(str(target / FILE))
    _write_settings(tokenizer, target)


def read_plain(path: Path) -> str | None:
    """Read what a `tokenizer.json` computes, without its padding and truncation; None where it is damaged."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # tokenizers raises Exception itself; transformers read the vocabulary all the same
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return str(tokenizer.to_str())


def _write_settings(tokenizer: Any, folder: Path) -> None:
    """Add to `tokenizer_config.json` what transformers' class knows by itself: sides, limits, names."""
    path = folder / SETTINGS
    written = _mapping(path)
    named = {**_mapping(folder / "special_tokens_map.json"), **written}
    settings: dict[str, Any] = {
        side: getattr(tokenizer, side)
        for side in ("padding_side", "truncation_side")
        if getattr(tokenizer, side) != written.get(side, "right")
    }
    settings |= {
        name: str(token) for name, token in _special_tokens(tokenizer).items() if named.get(name) is None
    }
    if written.get("model_max_length") is None and tokenizer.model_max_length < _NO_LIMIT:
        settings["model_max_length"] = tokenizer.model_max_length
    if settings:
        text = json.dumps({**written, **settings}, ensure_ascii=False, indent=2)
        path.write_text(text, encoding="utf8")


def _special_tokens(tokenizer: Any) -> Mapping[str, Any]:
    named = tokenizer.special_tokens_map
    return {name: token for name, token in named.items() if not isinstance(token, list | tuple | dict)}


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path, limit=MAX_CONFIG_BYTES, code="tokenizer-invalid")
    except FileNotFoundError:
        return {}
    if not isinstance(values, dict):
        message = f"{path} holds a {type(values).__name__}, expected a mapping"
        raise CompressError("tokenizer-invalid", message, hint="save the tokenizer again")
    return values


def refuse_beyond_table(tokenizer: Any, rows: int, *, note: Callable[[str], None]) -> None:
    """Refuse a tokenizer with tokens for which a model has no embedding.

    Special tokens pass, since no text holds them by accident: texts that do are refused when they come.

    Args:
        tokenizer: What `load_tokenizer` returns.
        rows: Rows of the table of embeddings.
        note: Takes a line about special tokens that have no row.

    Raises:
        CompressError: Text may become such a token, or every text holds one.
    """
    beyond = {number: token for token, number in tokenizer.get_vocab().items() if number >= rows}
    if not beyond:
        return
    added = tokenizer.added_tokens_decoder
    usual = [number for number in beyond if number not in added or not added[number].special]
    always = [number for number in tokenizer("a")["input_ids"] if number >= rows]
    if usual or always:
        number = min(usual or always)
        message = f"the tokenizer's '{visible(beyond[number])}' has id {number}, the model {rows} embeddings"
        hint = "call model.resize_token_embeddings(len(tokenizer)) and save it, or take the token out"
        raise CompressError("vocabulary-mismatched", message, hint=hint)
    first = visible(beyond[min(beyond)])
    note(f"{len(beyond)} special tokens have no embedding, first '{first}': texts with them are refused")
