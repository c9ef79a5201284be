"""Columns of labels and tags to what a model answers with, each column as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError, did_you_mean
from compress.core.visible import visible
from compress.data import several
from compress.data.labels import (
    Known,
    LabelMap,
    finite_number,
    is_blank,
    is_generic,
    label_key,
    map_labels,
    whole_number,
)
from compress.data.table import value_of
from compress.data.tags import is_ignored, map_tags, parse_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.data.table import Table

MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PAIRS = "feature-extraction"
_MANY = 200
"""Different labels among which the first that does not fit is looked for."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What the outputs of a model stand for."""

    task: str
    labels: Mapping[str, int] = field(default_factory=dict)
    """Classes by name; empty where they are not known."""
    problem: str | None = None
    """`problem_type` of the configuration."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The user's own mapping of labels."""

    def known(self, classes: Sequence[str]) -> Known:
        """Say what is known of a column whose integer labels the file calls `classes`."""
        return Known(labels=self.labels, classes=classes, given=self.given)

    @property
    def scores(self) -> bool:
        """Whether they are scores and no classes."""
        return self.task == PAIRS or len(self.labels) == 1 or self.problem == REGRESSION

    @property
    def several(self) -> bool:
        """Whether a row has one label a class, or one score an output."""
        return self.problem == MULTI_LABEL or (self.problem == REGRESSION and len(self.labels) > 1)


@dataclass(frozen=True)
class Column:
    """How the cells of a column are read, and which class each label is, if they are classes."""

    read: Callable[[Any, str], Any]
    """From a cell and its place to its value."""
    label_map: LabelMap | None = None


def is_unlabelled(values: Sequence[Any]) -> bool:
    """Tell whether no cell holds a label: nothing, or the -1 of test splits whose labels are held back."""
    return all(is_blank(value) or whole_number(value) == -1 for value in values)


def label_column(table: Table, column: str, outputs: Outputs) -> Column:
    """Read a column of labels.

    Raises:
        CompressError: A cell holds no label of this model; the first is named.
    """
    cells = _Cells(table, column, [value_of(row, column) for row in table.rows])
    if outputs.several:
        return _of_scores(cells, outputs) if outputs.scores else _of_several(cells, outputs)
    return _of_score(cells) if outputs.scores else _of_classes(cells, outputs)


def tag_column(
    table: Table, column: str, outputs: Outputs, words: Callable[[Any, str, str], list[Any]]
) -> Column:
    """Read a column of lists of tags; `words` makes a list of a cell.

    Raises:
        CompressError: A tag is none of this model's; the first is named.
    """
    cells = _Cells(table, column, [value_of(row, column) for row in table.rows])
    sentences = [words(value, place, column) for value, place in cells.items()]
    tags = [tag for sentence in sentences for tag in sentence]
    known = outputs.known(table.classes.get(column, ()))
    mapped = map_tags(tags, known)
    if mapped is None:
        raise _unknown(cells, sentences, partial(map_tags, known=known), outputs)
    return Column(lambda value, place: mapped.read(words(value, place, column)), mapped.label_map)


def tag_column_of(table: Table, outputs: Outputs) -> str | None:
    """Find the column of CoNLL whose tags are the model's by name; of several that which tags most words.

    Returns:
        Its name; None where the table has no numbered columns, or the tags of none are the model's.
    """
    if not {"tokens", "tags", "1"} <= set(table.names) or outputs.given or is_generic(outputs.labels):
        return None
    tagged: dict[str, int] = {}
    for name in table.names:
        if name.isdigit() and all(name in row for row in table.rows):
            tags = [tag for row in table.rows for tag in row[name]]
            found = map_tags(set(tags), outputs.known(()))
            if found is not None and (found.label_map.exact or found.rewritten):
                tagged[name] = sum(parse_tag(tag).kind != "" for tag in tags)
    return max(tagged, key=lambda name: (tagged[name], int(name)), default=None)


@dataclass(frozen=True)
class _Cells:
    """One column of a table."""

    table: Table
    column: str
    values: list[Any]

    def items(self) -> list[tuple[Any, str]]:
        """List each cell and its place."""
        return list(zip(self.values, self.table.places, strict=True))

    def refuse(
        self, place: str, value: Any, expected: str, hint: str, code: str = "label-unknown"
    ) -> CompressError:
        """Make the error for a cell."""
        message = f"{place} has the label {visible(repr(value))[:60]}, expected {expected}"
        return CompressError(code, message, hint=hint)


def _of_classes(cells: _Cells, outputs: Outputs) -> Column:
    """Read one class a row; lists of one label are that label."""
    for value, place in cells.items():
        if is_blank(value) or (whole_number(value) == -1 and not _knows(outputs, "-1")):
            held = "nothing" if is_blank(value) else "-1, which says that a label is held back"
            message = f"{place}: column '{cells.column}' holds {held}, expected a label"
            hint = "leave the row out, or say which class it is: --label-map=-1=CLASS"
            raise CompressError("row-invalid", message, hint=hint)
    values = [_only(cells, value, place) for value, place in cells.items()]
    if not outputs.labels and not outputs.given and all(finite_number(value) is not None for value in values):
        return Column(lambda value, _: _number(value))
    known = outputs.known(cells.table.classes.get(cells.column, ()))
    mapped = map_labels(values, known)
    if mapped is None:
        raise _unknown(cells, [[value] for value in values], partial(map_labels, known=known), outputs)
    return Column(lambda value, place: mapped.read(_only(cells, value, place)), mapped)


def _of_several(cells: _Cells, outputs: Outputs) -> Column:
    """Read one flag a class."""
    count = len(outputs.labels)
    lists = [_list(cells, value, place) for value, place in cells.items()]
    flags = several.are_flags(lists, count)
    if flags is None:
        message = f"column '{cells.column}': lists of two numbers may be flags or numbers of classes"
        raise CompressError("label-ambiguous", message, hint="write the classes' names instead")
    if flags:
        return Column(lambda value, place: several.hits(_list(cells, value, place), None, count))
    known = outputs.known(cells.table.classes.get(cells.column, ()))
    mapped = map_labels([value for values in lists for value in values], known)
    if mapped is None:
        raise _unknown(cells, lists, partial(map_labels, known=known), outputs)
    return Column(lambda value, place: several.hits(_list(cells, value, place), mapped, count), mapped)


def _of_score(cells: _Cells) -> Column:
    def read(value: Any, place: str) -> float:
        number = finite_number(_only(cells, value, place))
        if number is None:
            raise cells.refuse(place, value, "a number", "this model gives a score, not a class")
        return number

    return Column(read)


def _of_scores(cells: _Cells, outputs: Outputs) -> Column:
    count = len(outputs.labels)

    def read(value: Any, place: str) -> list[float]:
        numbers = [finite_number(part) for part in several.as_list(value) or []]
        if len(numbers) != count or None in numbers:
            hint = f"write a list of {count} numbers a row, in the order of the outputs"
            raise cells.refuse(place, value, f"{count} numbers, one for each of the model's outputs", hint)
        return [number for number in numbers if number is not None]

    return Column(read)


def _only(cells: _Cells, value: Any, place: str) -> Any:
    """Take the label of a row that has one, also in a list of its own."""
    if not isinstance(value, list):
        return value
    if len(value) != 1:
        message = f"{place}: column '{cells.column}' holds {len(value)} labels, the model gives one class"
        hint = f'of a multi-label model config.json says "problem_type": "{MULTI_LABEL}"'
        raise CompressError("label-several", message, hint=hint)
    return value[0]


def _list(cells: _Cells, value: Any, place: str) -> list[Any]:
    found = several.as_list(value)
    if found is None:
        raise cells.refuse(place, value, "a list of labels", "write a list of names or numbers a row")
    return found


def _knows(outputs: Outputs, label: str) -> bool:
    known = {label_key(name) for name in (*outputs.labels, *outputs.given)}
    return label_key(label) in known


def _number(value: Any) -> int | float | None:
    whole = whole_number(value)
    return whole if whole is not None else finite_number(value)


def _unknown(
    cells: _Cells,
    labels: Sequence[Sequence[Any]],
    mapping: Callable[[list[Any]], object | None],
    outputs: Outputs,
) -> CompressError:
    """Make the error for a column, at the first label that does not go with those before it."""
    seen: dict[str, Any] = {}
    for (_, place), row in zip(cells.items(), labels, strict=True):
        for label in row:
            if is_ignored(label) or label_key(label) in seen:
                continue
            seen[label_key(label)] = label
            if len(seen) > _MANY or mapping(list(seen.values())) is None:
                return _none_of_the_models(place, label, outputs)
    message = f"column '{cells.column}' holds labels that are none of the model's"
    return CompressError("label-unknown", message, hint=_way_out("LABEL", outputs))


def _none_of_the_models(place: str, label: Any, outputs: Outputs) -> CompressError:
    shown = visible(repr(label))[:60]
    message = f"{place} has the label {shown}, which is none of the model's {len(outputs.labels)}"
    return CompressError("label-unknown", message, hint=_way_out(visible(str(label))[:40], outputs))


def _way_out(label: str, outputs: Outputs) -> str:
    known = [visible(name) for name in outputs.labels]
    near = did_you_mean(label, known) if len(known) <= 20 else f"such as {', '.join(known[:8])}"
    return f"{near}; --label-map '{label}=CLASS' says which it is"
