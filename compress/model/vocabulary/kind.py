"""What each kind of tokenizer offers, so that its vocabulary can be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from compress.core.errors import CompressError
from compress.model.vocabulary import bpe, unigram, wordpiece

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    Model = Mapping[str, Any]
    """The part `model` of a tokenizer.json."""


class Kind(Protocol):
    """A module here is one. Ids are those of the whole vocabulary unless said otherwise."""

    def pieces(self, model: Model) -> dict[str, int]:
        """The id of every piece."""

    def required(self, model: Model) -> set[int]:
        """What must stay so that any text still tokenizes: single characters or bytes."""

    def closed(self, model: Model, kept: set[int]) -> set[int]:
        """`kept`, and what it needs so that text made of it tokenizes exactly as before."""

    def parts(self, model: Model) -> dict[str, list[str]]:
        """By piece, the smaller ones that it would be read as without itself, where there are such."""

    def cut(self, model: Model, numbers: Mapping[int, int]) -> dict[str, Any]:
        """The model with the pieces in `numbers` alone, which maps old ids to new ones."""


def kind_of(model: Model) -> Kind:
    """The kind of a tokenizer's model.

    Raises:
        CompressError: there is no way to cut it so that any text still tokenizes.
    """
    kinds: dict[str, ModuleType] = {"WordPiece": wordpiece, "BPE": bpe, "Unigram": unigram}
    found = str(model.get("type") or _untyped(model))
    if found not in kinds:
        message = f"a tokenizer of kind {found} cannot be cut: expected {', '.join(kinds)}"
        raise CompressError("tokenizer-unsupported", message, hint="leave prune.vocabulary out")
    return _as_kind(kinds[found])


def _as_kind(module: ModuleType) -> Kind:
    return module


def _untyped(model: Model) -> str:
    """The kind of a model that does not name it, as files of 2020 do not."""
    if "merges" in model:
        return "BPE"
    return "WordPiece" if "max_input_chars_per_word" in model else "Unigram"
