"""Rows of data in the columns that a task asks for, wherever they came from."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.data.arrow import read_saved, saved_splits
from compress.data.columns import choose_columns
from compress.data.conversations import conversation_column, with_text
from compress.data.hub import hub_files, parse_hub_name, preferred_split
from compress.data.media import media_files, read_media, refuse_unreadable, spilled
from compress.data.packed import PACKED_SUFFIXES
from compress.data.sample import SAMPLE_LICENCE, SAMPLE_SOURCE, sample_passages
from compress.data.several import FLAGS, with_flags
from compress.data.table import Table, joined
from compress.data.tables import TABLE_SUFFIXES, is_table, read_parquet, read_table
from compress.data.targets import Outputs, tag_column_of
from compress.data.unjudged import is_labelled, notes_on_answers
from compress.data.values import MAY_LACK_ANSWER, canonical_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.data.conversations import WriteChat
    from compress.data.labels import LabelMap

ANSWERS = ("label", "tags", "answers", "transcript", MAY_LACK_ANSWER)
"""Columns that hold what a model should say; all others are what it is given."""


@dataclass(frozen=True, kw_only=True)
class Items:
    """The rows of one source.

    A row maps canonical columns to values: `text`, `text_pair`, `question` and `context` are str,
    `tokens` a list of str, `image` and `audio` a Path or the bytes of such a file, `label` an int
    (class), or a float (score), `tags` a list of int (-100: not counted), `answers` a list of str,
    `transcript` a str.
    """

    rows: tuple[Mapping[str, Any], ...]
    columns: Mapping[str, str]
    """From the canonical column to where it came from, as shown to the user."""
    source: str
    licence: str | None
    """Of data that this package ships; None where the data is the user's."""
    labelled: bool
    """Whether every row holds the answer of the task. (Of language models the text is the answer.)"""
    digest: str
    """The sha256 of all rows in their order."""
    keys: tuple[str, ...]
    """One digest a row, of what the model is given and not of the answer: equal for duplicates."""
    notes: tuple[str, ...] = ()
    """What the user should know of how the data was read."""
    label_map: LabelMap | None = None
    """Which class each written label is, where labels are classes."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Sequence[int]) -> Items:
        """The rows at `indices`, in that order."""
        rows = tuple(self.rows[index] for index in indices)
        keys = tuple(self.keys[index] for index in indices)
        return replace(self, rows=rows, keys=keys, digest=_digest(rows, keys))


def load_items(
    source: str | None,
    *,
    task: str,
    modality: str | None = None,
    columns: Mapping[str, str] | None = None,
    labels: Mapping[str, int] | None = None,
    problem: str | None = None,
    label_map: Mapping[str, str] | None = None,
    write_chat: WriteChat | None = None,
    offline: bool = False,
    limit: int | None = None,
    spill: Path | None = None,
) -> Items:
    """Read data for a task: a file, a folder or a Hub data set (`org/name[:config][:split]`).

    `modality` (`text`, `image`, `audio`) is told by the task, except for feature extraction.
    `columns` maps canonical names to columns of the source, where guessing them is not wanted.
    `labels` are the model's classes by name (`class_ids`), `problem` is its `problem_type`, and
    `label_map` says which class each label is where the user said so. At most `limit` rows are taken,
    spread evenly over the source. `write_chat` writes conversations as a language model's text.
    Pictures and sounds that lie inside a table are written to the folder `spill`, if it is given, so
    that every row holds a path; else such a row holds bytes.
    Without a source, texts come from the sample that ships with the package.

    Raises:
        CompressError: the source is missing, empty, unreadable at some line, has no column for what
            the task needs or a label that the model does not know; or none is given for images or sound.
    """
    modality = modality or modality_of(task)
    if source is None:
        return _sample(task, modality, limit)
    table = read_source(source, task=task, modality=modality, offline=offline, limit=limit)
    given = dict(columns or {})
    if task == "text-generation" and write_chat and (talk := conversation_column(table, given.get("text"))):
        table, given = with_text(table, talk, write_chat), {**given, "text": talk}
    chosen = choose_columns(table, task=task, modality=modality, given=given)
    outputs = Outputs(task=task, labels=labels or {}, problem=problem, given=label_map or {})
    if "tags" in chosen and "tags" not in given and (tags := tag_column_of(table, outputs)):
        chosen["tags"] = tags
    if outputs.several and "label" not in chosen and (flags := with_flags(table, outputs.labels)):
        table, chosen = flags, {**chosen, "label": FLAGS}
    canonical = canonical_rows(table, chosen, outputs)
    rows = canonical.rows
    if modality != "text":
        refuse_unreadable(rows, modality)
        rows = spilled(rows, modality, spill) if spill else rows
    rows = _without_blanks(rows)
    if not rows:
        raise CompressError("data-empty", f"{table.source} holds no text", hint="check the column")
    kept = {name: column for name, column in chosen.items() if name in rows[0]}
    return make_items(
        rows,
        columns={name: table.origin.get(column, column) for name, column in kept.items()},
        source=table.source,
        labelled=is_labelled(rows, task),
        notes=[*table.notes, *notes_on_answers(rows, task, table, chosen)],
        label_map=canonical.label_map,
    )


def modality_of(task: str) -> str:
    """What a task's inputs are: `image`, `audio`, or `text` (also where the task does not tell)."""
    if task.startswith(("image-", "object-", "depth-", "semantic-")):
        return "image"
    return "audio" if task.startswith(("audio-", "automatic-speech")) else "text"


def make_items(
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Mapping[str, str],
    source: str,
    labelled: bool,
    licence: str | None = None,
    notes: Sequence[str] = (),
    label_map: LabelMap | None = None,
) -> Items:
    """Items of rows that are in canonical columns already, with their digests."""
    keys = tuple(_key(row) for row in rows)
    return Items(
        rows=tuple(rows),
        columns=dict(columns),
        source=source,
        licence=licence,
        labelled=labelled,
        digest=_digest(rows, keys),
        keys=keys,
        notes=tuple(notes),
        label_map=label_map,
    )


def _key(row: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name in sorted(set(row) - set(ANSWERS)):
        digest.update(f"{name}\0".encode())
        digest.update(_content(row[name]))
    return digest.hexdigest()


def _content(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, Path):
        return value.read_bytes()
    # Texts that differ in case or spaces alone are the same to most tokenizers.
    texts = [value] if isinstance(value, str) else value
    return json.dumps([" ".join(str(text).split()).casefold() for text in texts]).encode()


def _digest(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for row, key in zip(rows, keys, strict=True):
        answers = {name: row[name] for name in ANSWERS if name in row}
        digest.update(f"{key}\0{json.dumps(answers, sort_keys=True)}\n".encode())
    return digest.hexdigest()


def _sample(task: str, modality: str, limit: int | None) -> Items:
    if modality != "text":
        message = f"a model of {modality} needs data to be judged on, none was given"
        hint = f"pass --data FOLDER with real {modality} files: noise would prove nothing"
        raise CompressError("data-needed", message, hint=hint)
    passages = sample_passages()[:limit]
    return make_items(
        [_sample_row(title, text, task) for title, text in passages],
        columns=dict.fromkeys(_sample_row("", "", task), "sample"),
        source=SAMPLE_SOURCE,
        licence=SAMPLE_LICENCE,
        labelled=False,
    )


def _sample_row(title: str, text: str, task: str) -> dict[str, Any]:
    if task == "question-answering":
        return {"question": f"What is said about {title}?", "context": text}
    return {"tokens": text.split()} if task == "token-classification" else {"text": text}


def read_source(source: str, *, task: str, modality: str, offline: bool, limit: int | None) -> Table:
    """The rows of a file, a folder or a Hub data set, as they were written.

    Raises:
        CompressError: it is missing, empty or unreadable.
    """
    path = Path(os.path.expanduser(source))
    if path.is_dir():
        return _read_folder(path, None, task=task, modality=modality, limit=limit)
    if path.exists():
        return read_table(path, task=task, limit=limit)
    beside, _, split = source.rpartition(":")
    if beside and Path(beside).is_dir():
        return _read_folder(Path(beside), split, task=task, modality=modality, limit=limit)
    name = parse_hub_name(source)
    if name is None or is_table(path):
        message = f"no such file or folder: {source}"
        raise CompressError(
            "data-missing", message, hint="pass a file, a folder or a Hub data set's org/name"
        )
    files = hub_files(name, offline=offline)
    return replace(_read_files(files, task=task, limit=limit), source=source)


def _read_files(files: Sequence[Path], *, task: str, limit: int | None) -> Table:
    if files[0].suffix == ".parquet":
        return read_parquet(files, limit=limit)
    return joined([read_table(path, task=task) for path in files]).spread(limit)


def _read_folder(folder: Path, split: str | None, *, task: str, modality: str, limit: int | None) -> Table:
    """A folder of one split, or of several, of which the one asked for or the likeliest held out."""
    saved = read_saved(folder, limit=limit)
    if saved is not None:
        return saved
    parts = _parts(folder)
    chosen = split or preferred_split(parts)
    if chosen is not None:
        if chosen not in parts:
            message = f"{folder} has no '{chosen}', found {', '.join(parts)}"
            raise CompressError("data-missing", message, hint="name one of them")
        part = parts[chosen]
        if part.is_dir():
            return _read_folder(part, None, task=task, modality=modality, limit=limit)
        return read_table(part, task=task, limit=limit)
    if modality != "text" and media_files(folder, modality):
        return read_media(folder, modality=modality, task=task, limit=limit)
    tables = [path for path in parts.values() if path.is_file() and is_table(path)]
    if len(tables) == 1:
        return read_table(tables[0], task=task, limit=limit)
    names = ", ".join(path.name for path in tables)
    found = f"several tables: {names}" if tables else f"no {modality} files and no table"
    hint = "name the file" if tables else f"expected {modality} files or one of {', '.join(TABLE_SUFFIXES)}"
    raise CompressError("data-missing" if tables else "data-empty", f"{folder} holds {found}", hint=hint)


def _parts(folder: Path) -> dict[str, Path]:
    """What lies in a folder, by names without suffixes; of subfolders, those that all are splits (a
    folder `train` beside one `bus` is a class).
    """
    saved = saved_splits(folder)
    if saved is not None:
        return saved
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    folders = {path.name: path for path in visible if path.is_dir()}
    files = {
        path.name.partition(".")[0] if is_table(path) else path.stem: path
        for path in visible
        if path.is_file()
    }
    return files | (folders if all(preferred_split([name]) for name in folders) else {})


def _stem(path: Path) -> str:
    """A file's name without its suffixes: `train` of `train.csv.gz`."""
    return path.with_suffix("").stem if is_table(path) and path.suffix in PACKED_SUFFIXES else path.stem


def _without_blanks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the empty lines of running text; a row with an answer stays, whatever its text."""
    return [row for row in rows if set(row) != {"text"} or row["text"].strip()]
