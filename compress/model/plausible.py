"""Compare the sizes in config.json with the tensors that are there, before a module is built from them.

A module of a million layers takes hours and gigabytes to build, without weights, too; the tensors' names and
shapes tell that no such model is stored. Only what is far from any model is refused here: what is merely
another model is told by name once the module is built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from compress.model.headers import TensorHeader

_LAYERS = re.compile(r"(^|_)(n_?layers?|layers?|blocks|stages|depths?|num_hidden_groups|cells?)$")
"""Counts of modules, each of which has tensors of its own (or shares those of another)."""

_SIZES = re.compile(
    r"(^|_)(size|sizes|dim|dims|width|height|heads?|experts|channels|bins|groups|kernel|filters|rank|embd|inner"
    r"|ctx|state|states|inputs|buckets)$|^d_"
)
"""Sizes of tensors, of lists of modules and of tables that a module makes when it is built."""

_POSITIONS = re.compile(
    r"positions?(_embeddings)?$|^max_.*_positions$|^n_positions$|seq_?len(gth)?$|max_length$"
)

_FEW_LAYERS = 256
"""Layers that are built in seconds."""
_SHARING = 8
"""Times that a stored layer may be used: ALBERT has one for 12."""
_LABELS = re.compile(r"^num_(labels|classes)$")
"""transformers makes a name for each."""
_MODEST_LABELS = 2**18
_MODEST_SIZE = 2**21
"""More than any vocabulary, which an encoder of sound or pictures may have written down for nothing."""
_LARGER = 16
"""Times that a size may be larger than the largest dimension that is stored: heads or experts that are
stacked, or a table without weights."""
_MOST_POSITIONS = 2**24
"""Rotary positions need no table: Llama 4 has 10 million."""


def refuse_implausible(config: Mapping[str, Any], tensors: Mapping[str, TensorHeader]) -> None:
    """Refuse a `config.json` that describes a far larger model than its tensors can be of.

    Args:
        config: The parsed `config.json`.
        tensors: The headers of the checkpoint's tensors, by name.

    Raises:
        CompressError: A number of layers, a size or a number of positions is negative or far too large.
    """
    numbered = _numbered(tensors)
    largest = max((size for tensor in tensors.values() for size in tensor.shape), default=0)
    parts, sizes = (
        f"{numbered:,} numbered parts in the tensors' names",
        f"tensors of at most {largest:,} rows",
    )
    limits = (
        (_POSITIONS, _MOST_POSITIONS, "any model's positions"),
        (_LAYERS, max(_FEW_LAYERS, _SHARING * numbered), parts),
        (_LABELS, max(_MODEST_LABELS, largest), sizes),
        (_SIZES, max(_MODEST_SIZE, _LARGER * largest), sizes),
    )
    for key, value in _integers(config):
        name = key.rpartition(".")[2]
        for pattern, most, stored in limits:
            if pattern.search(name):
                _refuse(key, value, most, stored)
                break


def _refuse(key: str, value: int, limit: int, stored: str) -> None:
    if value > limit:
        message = f"config.json has {key} {value:,}, which does not fit {stored}"
        raise CompressError("config-implausible", message, hint="config.json is of another checkpoint")


def _numbered(tensors: Mapping[str, TensorHeader]) -> int:
    """One more than the largest number that is a part of a tensor's name: `layer.11.output` has 11."""
    parts = {part for name in tensors for part in name.split(".")}
    return max((int(part) for part in parts if part.isdecimal() and len(part) < 9), default=-1) + 1


def _integers(values: Any, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number of a configuration by its dotted key; those in lists by the list's."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _integers(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(values, list):
        for value in values:
            yield from _integers(value, prefix)
    elif isinstance(values, int) and not isinstance(values, bool):
        yield prefix, values
