"""Which column of a table is what, guessed from the task and checked against what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.errors import CompressError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.data.table import Table

_LABELS = ("label", "labels", "target", "class", "category", "sentiment", "gold_label", "intent", "stars")
_SCORES = ("score", "similarity_score", "similarity", "relatedness_score", "label", "labels")
_TEXTS = (
    *("text", "sentence", "sentence1", "content", "review", "document", "premise", "question", "question1"),
    *("query", "anchor", "text1", "text_a", "tweet", "comment", "body", "passage", "input", "utterance"),
)
_PAIRS = (
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question", "sentence"),
    ("query", "passage"),
    ("query", "document"),
    ("anchor", "positive"),
)
_FILES = ("file_name", "filename", "file", "path")


@dataclass(frozen=True)
class Wanted:
    """A canonical column, and names that it goes by, likeliest first."""

    name: str
    guesses: tuple[str, ...]
    required: bool = True


_BY_TASK = {
    "text-classification": (Wanted("text", _TEXTS), Wanted("label", _LABELS + _SCORES, False)),
    "feature-extraction": (Wanted("text", _TEXTS), Wanted("label", _SCORES + _LABELS, False)),
    "fill-mask": (Wanted("text", _TEXTS),),
    "text-generation": (Wanted("text", _TEXTS),),
    "token-classification": (
        Wanted("tokens", ("tokens", "words")),
        Wanted("tags", ("tags", "ner_tags", "ner", "labels", "pos_tags", "upos", "pos", "chunk_tags"), False),
    ),
    "question-answering": (
        Wanted("question", ("question", "query")),
        Wanted("context", ("context", "passage", "paragraph", "text")),
        Wanted("answers", ("answers", "answer", "answer_text"), False),
        Wanted("is_impossible", ("is_impossible",), False),
    ),
    "question-answer": (
        Wanted("question", ("question", "prompt", "problem", "query", "input", "instruction", "text")),
        Wanted("answers", ("answers", "answer", "target", "output", "solution", "label")),
    ),
}
_IMAGE = Wanted("image", ("image", "img", "pixel_values", *_FILES))
_AUDIO = Wanted("audio", ("audio", "speech", "wav", *_FILES))
_KNOWN = frozenset(
    name for wanted in (*_BY_TASK.values(), (_IMAGE, _AUDIO)) for column in wanted for name in column.guesses
) | {"id", "idx", "index", "guid"}
_TRANSCRIPTS = ("transcript", "transcription", "normalized_text", "text", "sentence")


def is_known_text(name: str) -> bool:
    """Whether columns of this name hold text everywhere."""
    known = {*_TEXTS, *(part for pair in _PAIRS for part in pair)}
    return name.strip().lower() in known


def is_known_column(name: str) -> bool:
    """Whether some task knows a column of this name."""
    return is_known_text(name) or name.strip().lower() in _KNOWN


def wanted_columns(task: str, modality: str) -> tuple[Wanted, ...]:
    """The canonical columns of a task.

    Raises:
        CompressError: there is no reading of data for this task.
    """
    if modality == "image":
        return (_IMAGE, Wanted("label", _LABELS, False))
    if modality == "audio":
        if task == "automatic-speech-recognition":
            return (_AUDIO, Wanted("transcript", _TRANSCRIPTS, False))
        return (_AUDIO, Wanted("label", _LABELS, False))
    if task not in _BY_TASK:
        message = f"data for the task '{task}' cannot be read"
        raise CompressError("task-unsupported", message, hint=f"known: {', '.join(sorted(_BY_TASK))}")
    return _BY_TASK[task]


def choose_columns(table: Table, *, task: str, modality: str, given: Mapping[str, str]) -> dict[str, str]:
    """From canonical names to the columns of a table; `given` wins over guesses. Values inside of mappings
    go by dotted names, and are guessed by the last part where no column fits.

    Raises:
        CompressError: a given column is not there or not of this task, or a needed one is not found.
    """
    names, source = table.names, table.source
    wanted = wanted_columns(task, modality)
    chosen = _checked([*names, *table.nested], wanted, given, source)
    known = {column.name for column in wanted}
    chosen |= {role: name for role, name in table.roles.items() if role in known and role not in chosen}
    if "text" not in chosen and task in ("text-classification", "feature-extraction"):
        chosen |= _pair(names, skip=set(chosen.values())) if wanted[0].name == "text" else {}
    for column in wanted:
        # An encoder is judged by labels of pairs alone: how similar they are.
        pointless = task == "feature-extraction" and column.name == "label" and "text_pair" not in chosen
        if column.name in chosen or pointless:
            continue
        taken = set(chosen.values())
        found = (
            _first(names, column.guesses, skip=taken)
            or _nested(table.nested, column.guesses, skip=taken)
            or _only(names, column, chosen)
        )
        if found:
            chosen[column.name] = found
        elif column.required:
            raise _missing(column, [*names, *table.nested], source)
    return chosen


def _checked(
    names: Sequence[str], wanted: Sequence[Wanted], given: Mapping[str, str], source: str
) -> dict[str, str]:
    known = {column.name for column in wanted} | ({"text_pair"} if wanted[0].name == "text" else set())
    for canonical, name in given.items():
        if canonical not in known:
            hint = did_you_mean(canonical, known)
            raise CompressError("column-unknown", f"this task has no column '{canonical}'", hint=hint)
        if name not in names:
            message = f"{source} has no column '{name}', found {', '.join(names)}"
            raise CompressError("column-missing", message, hint=did_you_mean(name, names))
    return dict(given)


def _pair(names: Sequence[str], *, skip: set[str]) -> dict[str, str]:
    for first, second in _PAIRS:
        found = _first(names, (first,), skip=skip), _first(names, (second,), skip=skip)
        if found[0] and found[1]:
            return {"text": found[0], "text_pair": found[1]}
    return {}


def _first(names: Sequence[str], guesses: Sequence[str], *, skip: set[str]) -> str | None:
    by_lower = {name.strip().lower(): name for name in reversed(names) if name not in skip}
    return next((by_lower[guess] for guess in guesses if guess in by_lower), None)


def _nested(paths: Sequence[str], guesses: Sequence[str], *, skip: set[str]) -> str | None:
    """The one path whose last part is the likeliest name; None where several are."""
    free = [path for path in paths if path not in skip]
    for guess in guesses:
        ending = [path for path in free if path.rpartition(".")[2].strip().lower() == guess]
        if ending:
            return ending[0] if len(ending) == 1 else None
    return None


def _only(names: Sequence[str], column: Wanted, chosen: Mapping[str, str]) -> str | None:
    """A text column whatever its name, where no other column could be it."""
    left = [name for name in names if name not in chosen.values() and name.lower() not in _LABELS + _SCORES]
    return left[0] if column.name == "text" and len(left) == 1 else None


def _missing(column: Wanted, names: Sequence[str], source: str) -> CompressError:
    message = f"{source} has no column for '{column.name}', found {', '.join(names)}"
    hint = f"name it: --column {column.name}=COLUMN (looked for {', '.join(column.guesses[:4])} ...)"
    if source.lower().endswith((".csv", ".tsv")):
        hint += "; a csv's first line names its columns"
    return CompressError("column-missing", message, hint=hint)
