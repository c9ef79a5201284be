"""tokenizer.json, cut to a part of its vocabulary: pieces get new numbers in the order of the old ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError, InternalError
from compress.model.vocabulary.kind import kind_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    Document = Mapping[str, Any]
    """What a tokenizer.json holds."""


def all_pieces(document: Document) -> dict[str, int]:
    """The id of every piece, and of every token that was added to them."""
    added = {str(token["content"]): int(token["id"]) for token in document.get("added_tokens") or ()}
    return kind_of(document["model"]).pieces(document["model"]) | added


def always_kept(document: Document) -> set[int]:
    """The ids that stay whatever the data: added and special tokens, and what any text falls back to."""
    added = {int(token["id"]) for token in document.get("added_tokens") or ()}
    return added | set(_special_ids(document)) | kind_of(document["model"]).required(document["model"])


def closed(document: Document, kept: Collection[int]) -> set[int]:
    """`kept`, what always stays, and what the kept pieces need to be found in text as before."""
    model = document["model"]
    return kind_of(model).closed(model, set(kept) | always_kept(document))


def _special_ids(document: Document) -> Iterator[int]:
    for processor in _processors(document.get("post_processor")):
        for token in (processor.get("special_tokens") or {}).values():
            yield from token["ids"]
        yield from (processor[key][1] for key in ("sep", "cls") if key in processor)


def _processors(processor: Document | None) -> list[Document]:
    if not processor:
        return []
    parts = processor.get("processors")
    return [one for part in parts for one in _processors(part)] if parts else [processor]


def cut(document: Document, numbers: Mapping[int, int]) -> dict[str, Any]:
    """The tokenizer with the pieces in `numbers` alone, which maps old ids to new ones."""
    model = document["model"]
    added = [{**token, "id": numbers[token["id"]]} for token in document.get("added_tokens") or ()]
    return {
        **document,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "post_processor": _renumbered(document.get("post_processor"), numbers),
        "padding": _padding(document.get("padding"), numbers),
        "model": kind_of(model).cut(model, numbers),
    }


def _renumbered(processor: Document | None, numbers: Mapping[int, int]) -> dict[str, Any] | None:
    """A post-processor with the new ids of the special tokens that it adds."""
    if processor is None:
        return None
    new = dict(processor)
    if "processors" in new:
        new["processors"] = [_renumbered(part, numbers) for part in new["processors"]]
    if isinstance(new.get("special_tokens"), Mapping):
        new["special_tokens"] = {
            name: {**token, "ids": [numbers[number] for number in token["ids"]]}
            for name, token in new["special_tokens"].items()
        }
    for key in ("sep", "cls"):
        if key in new:
            new[key] = [new[key][0], numbers[new[key][1]]]
    return new


def _padding(padding: Document | None, numbers: Mapping[int, int]) -> dict[str, Any] | None:
    return None if padding is None else {**padding, "pad_id": numbers.get(padding["pad_id"], 0)}


def numbered(kept: Collection[int]) -> dict[int, int]:
    """New ids for kept ones: 0, 1, 2 ... in the order of the old."""
    return {old: new for new, old in enumerate(sorted(kept))}


def refuse_beyond(document: Document, rows: int) -> None:
    """Refuse a tokenizer with ids for which the model has no row.

    Raises:
        CompressError: there is one.
    """
    for piece, number in all_pieces(document).items():
        if number >= rows:
            message = f"the tokenizer's '{piece}' has id {number}, the model has {rows} rows"
            raise CompressError("vocabulary-mismatched", message, hint="resize the model's embeddings first")


def check(document: Document, written: str, numbers: Mapping[int, int]) -> None:
    """Load a cut tokenizer and look every kept piece up.

    Raises:
        InternalError: one has not the id that the model's rows have.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(written)
    for piece, number in all_pieces(document).items():
        expected, found = numbers.get(number), tokenizer.token_to_id(piece)
        if found != expected:
            message = f"after the cut '{piece}' has id {found}, its row is {expected}"
            raise InternalError("vocabulary-renumbered", message, hint="leave prune.vocabulary out")
