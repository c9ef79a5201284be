"""Labels as files write them (numbers, names, scores) to the numbers that a model answers with.

A column is mapped as a whole: a cell by itself does not tell whether `1` is the class of that number, the
class of that name, or the first of several that are counted from one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError, did_you_mean
from compress.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

IGNORED = -100
"""The tag of a word that is not counted, as PyTorch's cross entropy has it."""

GIVEN = "by --label-map"
"""The basis of a mapping that is the user's own."""

_SHOWN = 12
"""Labels that a note lists at most."""


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """Which class each written label stands for."""

    classes: Mapping[str, int]
    """Labels as written, in the order of their classes."""
    basis: str
    """Why they are these classes, in words."""
    guess: bool = False
    """Whether another mapping is as likely, so that the model's own predictions must confirm this one."""
    exact: bool = False
    """Whether the model has these very names, or the user said it, so that there is nothing to confirm."""
    names: Mapping[int, str] = field(default_factory=dict)
    """The model's own names, where they say something that the written labels do not."""
    keys: Mapping[str, int] = field(default_factory=dict)
    """Classes by what all spellings of a label share."""

    def read(self, value: Any) -> int | None:
        """Look up the class of a written label, None for an unknown one."""
        return self.keys.get(label_key(value))

    def describe(self) -> str:
        """Write the mapping in one line."""
        pairs = [
            f"{visible(name)} -> {visible(self.names.get(number, str(number)))}"
            for name, number in self.classes.items()
        ]
        more = f", ... ({len(pairs)} in all)" if len(pairs) > _SHOWN else ""
        return f"label map: {', '.join(pairs[:_SHOWN])}{more} ({self.basis})"


def class_ids(config: Mapping[str, Any]) -> dict[str, int] | None:
    """Number the classes of a model by name: from `id2label`, from `label2id` where that alone has names.

    Args:
        config: A model's config.json.

    Returns:
        Numbers by name; None where the configuration names no classes.
    """
    stated = config.get("id2label")
    named = {str(name): int(number) for number, name in (stated or {}).items()}
    complete = len(named) == len(stated or {})
    inverse = {str(name): int(number) for name, number in (config.get("label2id") or {}).items()}
    if named and complete and not is_generic(named):
        return named
    if (
        inverse
        and not is_generic(inverse)
        and sorted(inverse.values()) == list(range(len(stated or inverse)))
    ):
        return inverse
    if named and not complete:
        return {f"LABEL_{number}": number for number in range(len(stated or {}))}
    return named or inverse or None


def is_generic(labels: Iterable[str]) -> bool:
    """Tell whether the names say nothing: `LABEL_0`, `LABEL_1` ...."""
    return all(re.fullmatch(r"LABEL_\d+", name) for name in labels)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a column's classes before its labels are looked at."""

    labels: Mapping[str, int]
    """The model's classes by name; empty where they are not known."""
    classes: Sequence[str] = ()
    """The names of integer labels, where the file states them."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The user's own mapping, from labels to names or numbers of classes."""


def map_labels(values: Iterable[Any], known: Known) -> LabelMap | None:
    """Map a column of labels as a whole.

    Args:
        values: All labels as written.
        known: The model's classes, the file's names and the user's mapping.

    Returns:
        The mapping; None where some label cannot be any class of this model.

    Raises:
        CompressError: The user's mapping names a class that the model does not have, or leaves out a label.
    """
    found = _map(_written(values, known.classes), known)
    if found is None or found.exact or is_generic(known.labels):
        return found
    return replace(found, names={number: name for name, number in known.labels.items()})


def _map(written: Mapping[str, str], known: Known) -> LabelMap | None:
    ids = {label_key(name): number for name, number in known.labels.items()}
    if known.given:
        return _given(written, ids, known.given)
    named = {key: ids[label_key(name)] for key, name in written.items() if label_key(name) in ids}
    if written and len(named) == len(written):
        return _mapped(written, named, "the model's own names", exact=True)
    numbers = {key: number for key in written if (number := whole_number(key)) is not None}
    if len(numbers) == len(written):
        return _by_numbers(written, numbers, known)
    if is_generic(known.labels):
        return _in_order(written, known.labels)
    return _by_both(written, named, numbers, len(ids))


def _by_both(
    written: Mapping[str, str], named: Mapping[str, int], numbers: Mapping[str, int], count: int
) -> LabelMap | None:
    """Map some by the model's names and the others by its numbers, where no name is a number."""
    usual = all(0 <= number < count for number in numbers.values())
    if not usual or len(named) + len(numbers) != len(written) or named.keys() & numbers.keys():
        return None
    return _mapped(written, {**named, **numbers}, "the model's names and the numbers of its classes")


def _by_numbers(written: Mapping[str, str], numbers: Mapping[str, int], known: Known) -> LabelMap | None:
    """Map numbers as those in the classes' names (`1 star`), as the classes' own, or as counted from 1."""
    labels, count, seen = known.labels, len(known.labels), set(numbers.values())
    inside = _numbers_in(labels)
    named = bool(inside) and seen <= set(inside)
    usual = not labels or seen <= set(range(count))
    if named and not (usual and all(inside[number] == number for number in seen)):
        by_name = {key: inside[number] for key, number in numbers.items()}
        return _mapped(written, by_name, "by the numbers in the model's names", guess=usual)
    if usual:
        return _mapped(written, numbers, "the numbers of the model's classes")
    if seen <= set(range(1, count + 1)):
        shifted = {key: number - 1 for key, number in numbers.items()}
        return _mapped(written, shifted, "numbered from 1")
    return None


def _in_order(written: Mapping[str, str], labels: Mapping[str, int]) -> LabelMap | None:
    names = sorted(set(written.values()))
    if len(names) != len({label_key(name) for name in names}) or (labels and len(names) != len(labels)):
        return None
    order = {name: number for number, name in enumerate(names)}
    ids = {key: order[name] for key, name in written.items()}
    return _mapped(written, ids, "names in sorted order, a guess", guess=bool(labels))


def _given(written: Mapping[str, str], ids: Mapping[str, int], given: Mapping[str, str]) -> LabelMap:
    """Map as the user said; labels that are left out go by the model's names."""
    targets = {
        label_key(str(label)): _target(str(label), str(target), ids) for label, target in given.items()
    }
    found: dict[str, int] = {}
    for key, name in written.items():
        number = targets.get(label_key(key), targets.get(label_key(name), ids.get(label_key(name))))
        if number is None:
            message = f"--label-map says nothing of the label '{visible(name)}'"
            raise CompressError("label-unknown", message, hint=f"add {visible(name)}=CLASS")
        found[key] = number
    return _mapped(written, found, GIVEN, exact=True)


def _target(label: str, target: str, ids: Mapping[str, int]) -> int:
    number = ids.get(label_key(target), whole_number(target))
    if number is None or number < 0 or (ids and number not in ids.values()):
        message = f"--label-map gives '{visible(label)}' the class '{visible(target)}', which is none"
        raise CompressError("label-map-invalid", message, hint=did_you_mean(target, list(ids)))
    return number


def _mapped(
    written: Mapping[str, str],
    ids: Mapping[str, int],
    basis: str,
    *,
    guess: bool = False,
    exact: bool = False,
) -> LabelMap:
    ordered = sorted(written, key=lambda key: (ids[key], key))
    shown = {written[key]: ids[key] for key in ordered}
    return LabelMap(classes=shown, basis=basis, guess=guess, exact=exact, keys=dict(ids))


def _written(values: Iterable[Any], classes: Sequence[str]) -> dict[str, str]:
    """List the different labels by key, each as it is shown: by the file's name for it, if there is one."""
    written: dict[str, str] = {}
    for value in values:
        number = whole_number(value)
        named = bool(classes) and number is not None and 0 <= number < len(classes)
        written.setdefault(label_key(value), classes[number] if named and number is not None else str(value))
    return written


def label_key(value: Any) -> str:
    """Bring the spellings of a label to what they share: `1`, `1.0`, `True`; `Very good`, `very_good`."""
    number = whole_number(value)
    return str(number) if number is not None else _plain(str(value))


def whole_number(value: Any) -> int | None:
    """Read the whole number that a label is or spells."""
    number = finite_number(value)
    return int(number) if number is not None and number == int(number) else None


def finite_number(value: Any) -> float | None:
    """Read the number that a value is or spells; None for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def is_blank(value: Any) -> bool:
    """Tell whether a cell holds nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold() or name


def _numbers_in(labels: Mapping[str, int]) -> dict[int, int]:
    """Find the classes by the one number in each name (`5 stars`), where every name has another."""
    found = {}
    for name, number in labels.items():
        digits = re.findall(r"\d+", name)
        if len(digits) != 1 or is_generic([name]):
            return {}
        found[int(digits[0])] = number
    return found if len(found) == len(labels) else {}
