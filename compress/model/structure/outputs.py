"""What a module answers, and how far two answers are apart, for steps that have no labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cosine_similarity, log_softmax

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from compress.core.artifact import Feeds

    Tensors = Mapping[str, torch.Tensor]


def ready(module: torch.nn.Module) -> torch.nn.Module:
    """The module without a cache of keys and values and with attention as plain products, in place."""
    config: Any = module.config
    if getattr(config, "use_cache", False):
        config.use_cache = False
    if hasattr(module, "set_attn_implementation"):
        module.set_attn_implementation("eager")
    return module.requires_grad_(False)


def tensors_of(batches: Sequence[Feeds]) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of arrays as batches of tensors."""
    for batch in batches:
        yield {name: torch.from_numpy(value) for name, value in batch.items()}


@dataclass(frozen=True)
class Answer:
    """Logits (B, .., C), or the last hidden states (B, T, D)."""

    values: torch.Tensor
    logits: bool


def answer(module: torch.nn.Module, batch: Tensors, *, grad: bool = False) -> Answer:
    """What a module answers, without its cache and its other results.

    Raises:
        CompressError: the module gives neither logits nor hidden states.
    """
    with torch.set_grad_enabled(grad):
        result = module(**batch, return_dict=True)
    if isinstance(result.get("start_logits"), torch.Tensor):
        return Answer(torch.stack([result["start_logits"], result["end_logits"]], dim=1), True)  # (B, 2, T)
    for name in ("logits", "last_hidden_state"):
        if isinstance(result.get(name), torch.Tensor):
            return Answer(result[name], name == "logits")
    hint = "supported outputs: logits, last_hidden_state"
    raise CompressError("outputs-unsupported", f"the model gives {', '.join(result)}", hint=hint)


def distance(expected: Answer, found: Answer, mask: torch.Tensor | None) -> torch.Tensor:
    """How far each answer is from the expected one, (B,).

    Of logits the Kullback-Leibler divergence KL(expected || found), averaged over positions (of a single
    score its squared difference); of hidden states one minus the cosine of their means over positions.
    `mask` (B, T) says which positions are not padding.
    """
    if not expected.logits:
        ours, theirs = pooled(found.values, mask), pooled(expected.values, mask)
        return 1 - cosine_similarity(ours, theirs, dim=-1)
    if expected.values.shape[-1] == 1:
        apart = (expected.values - found.values).square()
    else:
        p, q = log_softmax(expected.values, dim=-1), log_softmax(found.values, dim=-1)
        apart = (p.exp() * (p - q)).sum(dim=-1, keepdim=True)
    return apart[:, 0] if apart.ndim == 2 else mean_over(apart, mask)[:, 0]  # of (B, 1) or (B, T, 1)


def pooled(hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Hidden states (B, T, D), or (B, D), or maps (B, C, H, W), as one vector an item (B, D)."""
    if hidden.ndim == 4:
        hidden = hidden.flatten(2).transpose(1, 2)  # (B, H W, C)
    return hidden if hidden.ndim == 2 else mean_over(hidden, mask)


def mean_over(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The mean of (B, T, D) over the positions that count, (B, D)."""
    if mask is None or mask.shape != values.shape[:2]:
        return values.mean(dim=1)
    weights = mask.to(values.dtype)[..., None]
    return (values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
