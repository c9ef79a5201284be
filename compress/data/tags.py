"""Tags of words in one scheme (IOB1, IOB2, BIOES, BILOU, bare types) to those that a model answers with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from compress.data.labels import IGNORED, Known, LabelMap, is_generic, label_key, map_labels, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_PREFIXES = frozenset("BIESLU")
_SEPARATORS = "-_"


@dataclass(frozen=True)
class _Tag:
    """A tag in its parts; `prefix` is empty for a bare type, and so is `kind` of `O`."""

    prefix: str
    kind: str


def parse_tag(tag: str) -> _Tag:
    """Part a tag: `B-PER`, `B_PER`, `PER-B`, `PER`, `O`."""
    if tag.strip().casefold() in ("o", ""):
        return _Tag("", "")
    if len(tag) > 2 and tag[0].upper() in _PREFIXES and tag[1] in _SEPARATORS:
        return _Tag(tag[0].upper(), tag[2:])
    if len(tag) > 2 and tag[-1] in _PREFIXES and tag[-2] in _SEPARATORS:
        return _Tag(tag[-1], tag[:-2])
    return _Tag("", tag)


@dataclass(frozen=True)
class TagMap:
    """How the tags of a column become a model's classes."""

    label_map: LabelMap
    rewritten: bool = False
    """Whether the file's scheme is another than the model's, so that sentences are mapped as a whole."""
    ids: Mapping[tuple[str, str], int] | None = None
    """The model's classes by prefix and type."""
    classes: Sequence[str] = ()
    """The file's names of its integer tags, where these tell the model's classes."""

    def read(self, tags: Sequence[Any]) -> list[int]:
        """Number the classes of one sentence; `IGNORED` where a word is not counted."""
        tags = [_named(tag, self.classes) for tag in tags]
        if not self.rewritten or self.ids is None:
            return [IGNORED if is_ignored(tag) else self.label_map.keys[label_key(tag)] for tag in tags]
        written = ["O" if is_ignored(tag) else str(tag) for tag in tags]
        classes = _rewritten(written, self.ids)
        return [IGNORED if is_ignored(tag) else number for tag, number in zip(tags, classes, strict=True)]


def is_ignored(tag: Any) -> bool:
    """Tell whether a tag says that its word is not counted."""
    return tag in (IGNORED, str(IGNORED))


def map_tags(values: Iterable[Any], known: Known) -> TagMap | None:
    """Map all tags of a column, by the model's names or, of another scheme, by their types.

    Args:
        values: Every tag of every sentence.
        known: The model's classes, the file's names and the user's mapping, of tags or of types
            (`PERSON=PER`).

    Returns:
        The mapping; None where some tag has a type that the model does not know.

    Raises:
        CompressError: The user's mapping names a class that the model does not have.
    """
    written = list(dict.fromkeys(tag for tag in values if not is_ignored(tag)))
    seen = list(dict.fromkeys(_named(tag, known.classes) for tag in written))
    if seen != written and (named := map_tags(seen, replace(known, classes=()))) is not None:
        return replace(named, classes=known.classes)
    labels, types = known.labels, _types(known)
    direct = map_labels(written, replace(known, given={}) if types else known)
    if direct is not None:
        return TagMap(direct)
    if not labels or is_generic(labels) or not all(isinstance(tag, str) for tag in seen):
        return None
    ids = _by_parts(labels, types)
    if not {parse_tag(str(tag)).kind.casefold() for tag in seen} | {""} <= {kind for _, kind in ids}:
        return None
    shown = {str(tag): _rewritten([str(tag)], ids)[0] for tag in seen}
    basis = "tags of another scheme, by their types"
    return TagMap(LabelMap(classes=shown, basis=basis), rewritten=True, ids=ids)


def _named(tag: Any, classes: Sequence[str]) -> Any:
    """Name a tag as the file names its number, if it does."""
    number = whole_number(tag)
    return classes[number] if number is not None and 0 <= number < len(classes) else tag


def _by_parts(labels: Mapping[str, int], types: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """Key the model's classes by prefix and type, in the file's words too where the user gave them."""
    parts = {parse_tag(name): number for name, number in labels.items()}
    ids = {(tag.prefix, tag.kind.casefold()): number for tag, number in parts.items()}
    renamed = [(old.casefold(), new.casefold()) for old, new in types.items()]
    return ids | {
        (prefix, old): ids[prefix, kind] for prefix, kind in ids for old, new in renamed if kind == new
    }


def _types(known: Known) -> dict[str, str]:
    """Take the user's mapping where it is one of types: its targets are types of the model and no tags."""
    kinds = {parse_tag(name).kind.casefold() for name in known.labels} - {""}
    names = {name.casefold() for name in known.labels}
    targets = {target.casefold() for target in known.given.values()}
    return dict(known.given) if targets and targets <= kinds and not targets <= names else {}


def _rewritten(tags: Sequence[str], ids: Mapping[tuple[str, str], int]) -> list[int]:
    """Bring a sentence into the model's scheme, entity by entity."""
    parts = [parse_tag(tag) for tag in tags]
    parts = [_Tag(part.prefix, part.kind.casefold()) for part in parts]
    starts = [at for at in range(len(parts)) if at == 0 or _begins(parts[at], parts[at - 1])]
    classes: list[int] = []
    for first, last in zip(starts, [*starts[1:], len(parts)], strict=True):
        classes += _entity(parts[first].kind, last - first, ids)
    return classes


def _begins(tag: _Tag, before: _Tag) -> bool:
    return tag.prefix in ("B", "S", "U") or tag.kind != before.kind or before.prefix in ("E", "L", "S", "U")


def _entity(kind: str, words: int, ids: Mapping[tuple[str, str], int]) -> list[int]:
    """Choose the classes of one entity's words (or of words outside), as far as the scheme parts them."""
    if not kind:
        return [ids["", ""]] * words
    alone = _first(ids, kind, "SUBI")
    first, inside, last = (_first(ids, kind, prefixes) for prefixes in ("BI", "IB", "ELIB"))
    return [alone] if words == 1 else [first, *[inside] * (words - 2), last]


def _first(ids: Mapping[tuple[str, str], int], kind: str, prefixes: str) -> int:
    return next(ids[prefix, kind] for prefix in (*prefixes, "") if (prefix, kind) in ids)
