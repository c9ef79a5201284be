"""Whether the published tokenizer gives the ids that transformers gives, before anything is compressed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from tokenizers.normalizers import Lowercase

from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.profile import ModelKind
from compress.core.scripts import VARIED
from compress.core.sentence import transformer_settings
from compress.core.visible import visible
from compress.graph.cached import SETTINGS
from compress.graph.session import TensorSpec
from compress.model.padding import refuse_unpadded
from compress.model.tokenizer import load_tokenizer, refuse_beyond_table
from compress.runtime.files import read_settings
from compress.runtime.genai_tokenizer import told_genai
from compress.runtime.limits import embedding_rows
from compress.runtime.text import TextPreprocessor, load_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tokenizers import Encoding

    from compress.model.resolve import Model
    from compress.pipeline.splits import Splits
    from compress.runtime.preprocess import Preprocessor

    Pair = tuple[str, str | None]

_IDS = (TensorSpec("input_ids", "int64", (None, None)), TensorSpec("attention_mask", "int64", (None, None)))
_REPORTED = {"return_token_type_ids": True, "return_special_tokens_mask": True, "verbose": False}
_MOST_ADDED = 64
"""Added tokens that are tried inside of texts."""
_LONGEST = 4096
"""Tokens up to which texts beyond the limit are tried."""
_MOST_ROWS = 1000
"""Rows of the user's data that are compared."""


def check_tokenizer(model: Model, *, note: Callable[[str], None]) -> None:
    """Refuse a model of text that our reader would feed other ids than transformers does.

    Args:
        model: The resolved checkpoint.
        note: Takes a line about special tokens that the model does not know.

    Raises:
        CompressError: There is no tokenizer, ids differ, text may become a token that the model does not
            know, or the padding that the model looks for has no id.
    """
    if model.kind not in (ModelKind.ENCODER, ModelKind.DECODER):
        return
    if model.task == "text-classification":
        refuse_unpadded(model.folder, str((model.config.get("architectures") or [""])[0]))
    reference = load_tokenizer(model.folder)
    rows = embedding_rows(model.config)
    if rows is not None:
        refuse_beyond_table(reference, rows, note=note)
    text = load_text(model.folder, task=model.task, inputs=_IDS)
    refuse_different(reference, text, varied(reference, text.max_length), lowers=_lowers(model.folder))


def check_data(
    source: Path, artifact: Path, preprocessor: Preprocessor, splits: Splits, *, note: Callable[[str], None]
) -> list[str]:
    """Compare the tokens of the user's texts with transformers', and say what the model will not see.

    Args:
        source: The checkpoint's folder.
        artifact: The folder of its fp32 artifact.
        preprocessor: That artifact's.
        splits: The user's data.
        note: Takes the lines that are returned, too.

    Returns:
        Lines for the report.

    Raises:
        CompressError: Transformers reads a text as other tokens.
    """
    if not isinstance(preprocessor, TextPreprocessor):
        return []
    pairs = [_pair_of(row) for row in islice(splits.items.rows, _MOST_ROWS)]
    refuse_different(load_tokenizer(source), preprocessor, pairs, lowers=_lowers(source))
    told = told_cut(preprocessor, splits.items.rows, name="data")
    if splits.unlabelled is not None:
        told += told_cut(preprocessor, splits.unlabelled.rows, name="calibration")
    if (artifact / SETTINGS).is_file():
        told += told_genai(artifact, [first for first, _ in pairs])
    for line in told:
        note(line)
    return told


def told_cut(text: TextPreprocessor, rows: Sequence[Mapping[str, Any]], *, name: str) -> list[str]:
    """Say how many rows are longer than the model takes, so that what is beyond the limit is not read.

    Args:
        text: The preprocessor of an artifact.
        rows: Rows of data.
        name: What they are: data, or calibration.

    Returns:
        One line, or none where nothing is left out. (Language models are judged in windows.)
    """
    count = _count_cut(text, rows)
    if not count:
        return []
    end = "beginning" if text.settings.cut_left else "end"
    return [
        f"{name}: {count:,} of {len(rows):,} texts are longer than the {text.max_length} tokens that the "
        f"model takes, their {end} is not read"
    ]


def _count_cut(text: TextPreprocessor, rows: Sequence[Mapping[str, Any]]) -> int:
    if not text.cuts or text.settings.task == "text-generation":
        return 0
    sides = [text.encodings(rows)]
    if text.settings.task == "feature-extraction":  # each side of a pair is embedded by itself
        sides.append(text.encodings([{"text": row.get("text_pair") or ""} for row in rows]))
    return sum(any(encoding.overflowing for encoding in row) for row in zip(*sides, strict=True))


def refuse_different(
    reference: Any, text: TextPreprocessor, pairs: Sequence[Pair], *, lowers: bool = False
) -> None:
    """Compare ids, types and special tokens of texts, and of pairs of them, cut as the model is fed.

    Args:
        reference: A tokenizer of transformers.
        text: Our reader of the published folder.
        pairs: Texts, each with a second one or None.
        lowers: Whether sentence-transformers lower-cases texts before the tokenizer gets them.

    Raises:
        CompressError: Naming the first text that differs, and both ids.
    """
    options = {"truncation": True, "max_length": text.max_length} if text.tokenizer.truncation else {}
    for chosen in ([p for p in pairs if p[1] is None], [p for p in pairs if p[1] is not None]):
        if not chosen:
            continue
        given: list[Any] = [first if second is None else (first, second) for first, second in chosen]
        with translated("tokenizer-invalid", "the tokenizer cannot read text", hint="save it again"):
            found = text.tokenizer.encode_batch(given)
            if lowers:
                given = [_lowered(value) for value in given]
            expected = reference(given, **_REPORTED, **options)
        for at, (pair, encoding) in enumerate(zip(chosen, found, strict=True)):
            reading = _Reading(*(expected[name][at] for name in _ARRAYS))
            if reading != _read(encoding):
                raise _different(pair[0], reading, _read(encoding))


_ARRAYS = ("input_ids", "token_type_ids", "special_tokens_mask")


@dataclass(frozen=True)
class _Reading:
    """What a tokenizer makes of a text."""

    ids: Sequence[int]
    types: Sequence[int]
    special: Sequence[int]


def _read(encoding: Encoding) -> _Reading:
    return _Reading(encoding.ids, encoding.type_ids, encoding.special_tokens_mask)


def _different(text: str, expected: _Reading, found: _Reading) -> CompressError:
    both = list(zip(expected.ids, found.ids, strict=False))
    at = next((at for at, (first, second) in enumerate(both) if first != second), len(both))
    shown = slice(max(at - 2, 0), at + 6)
    message = (
        f"the tokenizer cannot be published: transformers reads {visible(repr(text[:60]))} as ids "
        f"{list(expected.ids[shown])} from token {shown.start} on, tokenizer.json as {list(found.ids[shown])}"
    )
    hint = "report this; meanwhile save the tokenizer with transformers 5 and check what it reads"
    return CompressError("tokenizer-differs", message, hint=hint)


def varied(reference: Any, max_length: int) -> list[Pair]:
    """Texts of many kinds: alone and in pairs, with added tokens inside, and beyond the limit."""
    added = [token.content for token in islice(reference.added_tokens_decoder.values(), _MOST_ADDED)]
    inside = [
        form
        for token in added
        for form in (token, f"a{token}b", f"The end {token} of  {token}", token.upper())
    ]
    texts = [*VARIED, *inside, *_long(reference, max_length)]
    pairs = zip(texts, [*texts[3:], *texts[:3]], strict=True)
    return [*((text, None) for text in texts), *(pair for pair in pairs if pair[1])]


def _long(reference: Any, max_length: int) -> list[str]:
    if max_length > _LONGEST:
        return []
    words = " ".join(VARIED[2:20])
    tokens = max(len(reference(words, add_special_tokens=False, verbose=False)["input_ids"]), 1)
    return [" ".join([words] * (max_length // tokens + 2))]


def _pair_of(row: Mapping[str, Any]) -> Pair:
    if row.get("tokens"):
        return " ".join(map(str, row["tokens"])), None
    if "question" in row and "context" in row:
        return str(row["question"]), str(row["context"]) or None
    second = row.get("text_pair")
    return str(row.get("text", "")), None if not second else str(second)


def _lowered(value: str | tuple[str, str]) -> Any:
    if isinstance(value, str):
        return Lowercase().normalize_str(value)
    return tuple(Lowercase().normalize_str(part) for part in value)


def _lowers(folder: Path) -> bool:
    return bool(read_settings(transformer_settings(folder)).get("do_lower_case"))
