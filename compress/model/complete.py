"""Refuse a checkpoint of which a part would be lost, or made up, without anybody asking for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.model.account import known_elsewhere
from compress.model.outputs import unread_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compress.model.account import Account
    from compress.model.headers import TensorHeader


def refuse_incomplete(module: Any, task: str, missing: Iterable[str]) -> None:
    """Refuse to fill weights with random numbers where an exported output is computed from them.

    Raises:
        CompressError: a missing weight is read.
    """
    missing = sorted(missing)
    unread = unread_weights(module, task, missing) if missing else set()
    if read := [name for name in missing if name not in unread]:
        message = f"the checkpoint lacks {len(read)} weights of a {task} model, first {read[0]}"
        hint = "choose the --task that it was trained for (feature-extraction fits any)"
        raise CompressError("weights-missing", message, hint=hint)


def refuse_unknown(module: Any, unused: Sequence[str], *, body_alone: bool) -> None:
    """Refuse tensors that nothing accounts for.

    Accounted for are those that another transformers class of the same configuration takes: heads of
    pre-training, poolers.

    Args:
        module: a transformers module, with or without weights.
        unused: the tensors that it does not take.
        body_alone: whether the user wants the body whatever lies on top of it.

    Raises:
        CompressError: a tensor belongs to no part of the model that its configuration describes.
    """
    rest = [name for name in unused if not body_alone or _in_body(module, name)]
    known = known_elsewhere(module, rest) if rest else set()
    if unknown := [name for name in rest if name not in known]:
        kind = type(module).__name__
        message = f"{kind} by config.json has no weight for {len(unknown)} tensors, first {unknown[0]}"
        hint = (
            "is config.json (num_hidden_layers ...) of another checkpoint? Remove them if they are left over"
        )
        raise CompressError("weights-unexpected", message, hint=hint)


def _in_body(module: Any, name: str) -> bool:
    """Whether a tensor is named as a part of the body."""
    prefix = f"{module.base_model_prefix}."
    if module.base_model_prefix and name.startswith(prefix):
        return True
    return name.partition(".")[0] in dict(module.named_children())


def refuse_misshapen(module: Any, account: Account, tensors: Mapping[str, TensorHeader]) -> None:
    """Refuse tensors of another shape than their weight's; those that transformers converts are not compared.

    Raises:
        CompressError: a shape is another, as where config.json is of a wider model.
    """
    weights = module.state_dict()
    mismatched = [
        (target, tensors[name].shape, tuple(weights[target].shape))
        for name, target in account.targets.items()
        if target not in account.converted and tensors[name].shape != weights[target].shape
    ]
    refuse_mismatched(mismatched)


def refuse_mismatched(mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]]) -> None:
    """Refuse weights by their name, the shape that is stored and the shape that is expected.

    Raises:
        CompressError: there is one.
    """
    for name, stored, expected in sorted(mismatched):
        message = f"{name} has shape {list(stored)}, the configuration asks for {list(expected)}"
        raise CompressError("weights-mismatched", message, hint="config.json is of another checkpoint")
