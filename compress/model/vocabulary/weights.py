"""The rows of a checkpoint that belong to tokens: of embeddings, of heads, of their biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.core.errors import CompressError
from compress.model.auto import auto_config
from compress.model.load import empty_module, load_module
from compress.model.safety import INDEX, read_headers, read_json, weight_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def embedding_rows(folder: Path, task: str) -> int:
    """How many tokens a model has rows for.

    Raises:
        CompressError: it has no embedding of tokens.
    """
    return int(_embedding(empty_module(folder, task)).shape[0])


def embedding(folder: Path, task: str) -> np.ndarray:
    """The embedding of tokens, float32 (V, D).

    Raises:
        CompressError: the model has none.
    """
    return np.asarray(_embedding(load_module(folder, task)).detach().float())


def _embedding(module: torch.nn.Module) -> torch.Tensor:
    try:
        weight = getattr(module.get_input_embeddings(), "weight", None)
    except NotImplementedError:
        weight = None
    if weight is None or weight.ndim != 2 or getattr(module, "main_input_name", "input_ids") != "input_ids":
        message = "this model has no vocabulary: it reads no tokens"
        raise CompressError("nothing-to-quantize", message, hint="leave prune.vocabulary out")
    return weight


def vocabulary_axes(folder: Path, task: str) -> dict[str, int]:
    """The stored tensors that have the vocabulary for an axis, and which axis that is.

    They are told by the structure of the model as it was saved and as it is loaded: the embedding, the
    head, everything that shares a weight with them, and biases that belong to no other weight.

    Raises:
        CompressError: none of the tensors is the embedding.
    """
    found: dict[str, int] = {}
    for module in _structures(folder, task):
        found |= _axes(module)
    stored = read_headers(folder)
    rows = embedding_rows(folder, task)
    axes = {}
    for name, header in stored.items():
        axis = _matching(name, found)
        if axis is not None and len(header.shape) > axis and header.shape[axis] == rows:
            axes[name] = axis
    if not any(len(stored[name].shape) == 2 for name in axes):
        message = f"no tensor of the checkpoint is the embedding of {rows} tokens"
        raise CompressError("vocabulary-unknown", message, hint="leave prune.vocabulary out")
    return axes


def _structures(folder: Path, task: str) -> list[torch.nn.Module]:
    """The module as `task` loads it and as its class saved it: that one may have a head more."""
    import transformers

    modules = [empty_module(folder, task)]
    names = read_json(folder / "config.json", code="config-missing").get("architectures") or []
    kind = getattr(transformers, names[0], None) if names else None
    if kind is not None:
        config = auto_config(folder)
        with torch.device("meta"):
            modules.append(kind._from_config(config))
    return modules


def _axes(module: torch.nn.Module) -> dict[str, int]:
    """By the names of a module's tensors: the axis that is the vocabulary."""
    rows = len(_embedding(module))
    owners = _vocabulary_modules(module)
    shared = {id(owner.weight) for owner in owners}
    axes: dict[str, int] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        weight: Any = getattr(part, "weight", None)
        if weight is not None and id(weight) not in shared:
            continue
        for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            axis = len(tensor.shape) - 1 if "bias" in name else 0
            if tensor.ndim and tensor.shape[axis] == rows and (name == "weight" or "bias" in name):
                axes[f"{prefix}.{name}".lstrip(".")] = axis
    return axes


def _vocabulary_modules(module: Any) -> list[Any]:
    """The embedding, the head, and all that look up or multiply by the same weights."""
    ends = [module.get_input_embeddings(), module.get_output_embeddings()]
    weights = {id(end.weight) for end in ends if end is not None}
    rows = len(_embedding(module))
    found = []
    for part in module.modules():
        weight = getattr(part, "weight", None)
        embeds = isinstance(part, torch.nn.Embedding) and weight is not None and weight.shape[0] == rows
        if weight is not None and (id(weight) in weights or embeds):
            found.append(part)
    return found


def _matching(name: str, axes: Mapping[str, int]) -> int | None:
    """The axis of a stored tensor, whose name may have the body's prefix more or less than the module's."""
    for known, axis in axes.items():
        if name == known or name.endswith(f".{known}") or known.endswith(f".{name}"):
            return axis
    return None


def write_cut(source: Path, target: Path, axes: Mapping[str, int], kept: Sequence[int]) -> None:
    """Write the weights of `source` again, of the tensors in `axes` the rows `kept` alone. One file is in
    memory at a time; dtypes stay.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    index = torch.tensor(list(kept))
    for path in weight_files(source):
        with safe_open(path, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
            metadata = stored.metadata() or {"format": "pt"}
        for name in tensors.keys() & axes.keys():
            tensors[name] = tensors[name].index_select(axes[name], index).contiguous()
        save_file(tensors, target / path.name, metadata=metadata)
    if (source / INDEX).exists():
        (target / INDEX).write_text((source / INDEX).read_text(encoding="utf8"), encoding="utf8")
