"""One answer to whether a checkpoint's output layer is its embedding: the one that transformers 5 gives.

`tie_word_embeddings: true` says that they are one table. A checkpoint may hold another output layer all the
same, which transformers then uses, or hold the table under the output layer's name alone. Every later step
reads config.json and names, so both are rewritten here as a checkpoint that says what it holds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from compress.core.cached import take
from compress.core.copies import clone_or_copy
from compress.core.paths import folder_digest
from compress.model.account import map_tensors
from compress.model.load import empty_whole
from compress.model.safety import SINGLE, read_json, weight_files, write_shard_index
from compress.model.sidecars import copy_sidecars
from compress.model.tensors import StoredTensors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def consistent_head(
    folder: Path, task: str, names: Iterable[str], *, cache: Path, note: Callable[[str], None]
) -> Path:
    """Return a checkpoint whose config.json and tensors agree on whether the output layer is tied.

    Args:
        folder: the checkpoint.
        task: the task that it is loaded for.
        names: the names of its tensors.
        cache: where a rewritten checkpoint is kept.
        note: told what transformers makes of a checkpoint that disagrees with itself.

    Returns:
        `folder` itself where they agree.
    """
    module: Any = empty_whole(folder, task)
    pair = _tied_pair(module)
    if pair is None:
        return folder
    stored = {target: name for name, target in map_tensors(module, names).items()}
    head, embedding = (stored.get(weight) for weight in pair)
    if head is None or (embedding is not None and _equal(folder, head, embedding)):
        return folder
    target = cache / "head" / folder_digest(folder)[:24]

    def make(beside: Path, lock: int) -> None:
        if embedding is None:
            _rename(folder, beside, head, pair[1])
        else:
            _untie(folder, beside)

    take(target, make, name=f"checkpoint of {folder.name} with one head", note=note).keep()
    if embedding is not None:
        note(f"'{head}' differs from the embedding: it is kept, though config.json says that they are tied")
    return target


def _tied_pair(module: Any) -> tuple[str, str] | None:
    """Name the weights of the output layer and of the embedding where the configuration ties them."""
    head = module.get_output_embeddings()
    pairs = (getattr(module, "all_tied_weights_keys", None) or {}).items()
    weights = dict(module.named_parameters(remove_duplicate=False))
    tied = (pair for pair in pairs if head is not None and weights.get(pair[0]) is head.weight)
    return next(tied, None)


def _equal(folder: Path, head: str, embedding: str) -> bool:
    stored = StoredTensors(folder)
    return bool(torch.equal(stored.tensor(head), stored.tensor(embedding)))


def _untie(folder: Path, target: Path) -> None:
    """Copy a checkpoint with `tie_word_embeddings: false`."""
    for path in weight_files(folder):
        clone_or_copy(path, target / path.name)
    _finish(folder, target)
    config = read_json(folder / "config.json", code="config-missing") | {"tie_word_embeddings": False}
    (target / "config.json").write_text(json.dumps(config, indent=2), encoding="utf8")


def _rename(folder: Path, target: Path, old: str, new: str) -> None:
    """Copy a checkpoint with another name for one of its tensors."""
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as tensors:
            holds = old in tensors.keys()  # noqa: SIM118 (not a mapping)
        if holds:
            renamed = {new if name == old else name: tensor for name, tensor in load_file(path).items()}
            save_file(renamed, target / path.name, metadata={"format": "pt"})
        else:
            clone_or_copy(path, target / path.name)
    _finish(folder, target)


def _finish(folder: Path, target: Path) -> None:
    """Add what is beside the weights, and the index of several files."""
    copy_sidecars(folder, target, text=True)
    places: dict[str, str] = {}
    for path in sorted(target.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            places |= dict.fromkeys(tensors.keys(), path.name)
    if set(places.values()) != {SINGLE}:
        write_shard_index(target, places)
