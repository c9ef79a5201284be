"""What teacher and student answer to one batch, with gradients where they are wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compress.model.healing.head import Head

    Tensors = Mapping[str, torch.Tensor]

HEADS = ("logits", "start_logits", "end_logits")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`hidden`: the last hidden states (B, T, D) (of pictures also (B, C, H, W)); `mask` (B, T): which of
    them are of the item; `pooled` (B, D): the embeddings of models that give such; `logits` by name, or
    `features` (B, T, D), what the head that would make them is given.
    """

    hidden: torch.Tensor | None
    mask: torch.Tensor | None
    pooled: torch.Tensor | None
    logits: dict[str, torch.Tensor] = field(default_factory=dict)
    features: torch.Tensor | None = None

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Answer:
        """The same with each tensor changed; features that are the hidden states stay those."""
        hidden = None if self.hidden is None else change(self.hidden)
        other = None if self.features is None or self.features is self.hidden else change(self.features)
        return Answer(
            hidden=hidden,
            mask=self.mask,
            pooled=None if self.pooled is None else change(self.pooled),
            logits={name: change(value) for name, value in self.logits.items()},
            features=hidden if self.features is self.hidden else other,
        )

    def rows(self, rows: slice) -> Answer:
        """That of some items."""
        found = self.map(lambda tensor: tensor[rows])
        return found if self.mask is None else replace(found, mask=self.mask[rows])

    def size_bytes(self) -> int:
        """What it takes to keep it."""
        other = None if self.features is self.hidden else self.features
        tensors = [self.hidden, self.pooled, other, *self.logits.values()]
        return sum(one.numel() * one.element_size() for one in tensors if one is not None)


def answer(
    module: torch.nn.Module,
    feeds: Tensors,
    *,
    pooling: Sequence[str] = (),
    states: bool,
    head: Head | None = None,
) -> Answer:
    """Run a module. `pooling` are the modes by which hidden states become an embedding; without any and
    without logits it is the mean, or what the module pooled itself. `states` asks modules with a head
    for the hidden states before it. With a `head` there are features in place of logits.

    Raises:
        CompressError: the module gives neither logits nor hidden states.
    """
    if head is not None:
        return _headless(module, feeds, head, states=states)
    result = module(**feeds, return_dict=True, **({"output_hidden_states": True} if states else {}))
    logits = {name: result[name] for name in HEADS if isinstance(result.get(name), torch.Tensor)}
    hidden = _hidden(result)
    if hidden is None and not logits:
        hint = f"supported outputs: {', '.join(HEADS)}, last_hidden_state"
        raise CompressError("outputs-unsupported", f"the model gives {', '.join(result)}", hint=hint)
    mask = None if hidden is None or hidden.ndim != 3 else _mask(feeds, hidden)
    pooled = None
    if not logits and hidden is not None:
        pooled = _pooled(result, feeds, hidden, mask, pooling)
    return Answer(hidden=hidden, mask=mask, pooled=pooled, logits=logits)


def _headless(module: torch.nn.Module, feeds: Tensors, head: Head, *, states: bool) -> Answer:
    asked = {"output_hidden_states": True} if states and not head.last else {}
    with head.off():
        result = module(**feeds, return_dict=True, **asked)
    features = result["logits"]
    hidden = None if not states else features if head.last else _hidden(result)
    mask = None if hidden is None else _mask(feeds, hidden)
    return Answer(hidden=hidden, mask=mask, pooled=None, features=features)


def _hidden(result: Any) -> torch.Tensor | None:
    last = result.get("last_hidden_state")
    if isinstance(last, torch.Tensor):
        return last
    states = result.get("hidden_states")
    return states[-1] if states else None


def _mask(feeds: Tensors, hidden: torch.Tensor) -> torch.Tensor:
    """Which positions belong to the item (B, T); models of sound shorten time, and the mask with it."""
    batch, length = hidden.shape[:2]
    mask = feeds.get("attention_mask")
    if mask is None or mask.ndim != 2:
        return torch.ones(batch, length, device=hidden.device)
    if mask.shape[1] == length:
        return mask.to(hidden.dtype)
    counts = (mask.sum(dim=1) * length / mask.shape[1]).round().clamp(min=1)
    return (torch.arange(length, device=hidden.device)[None] < counts[:, None]).to(hidden.dtype)


def _pooled(
    result: Any, feeds: Tensors, hidden: torch.Tensor, mask: torch.Tensor | None, pooling: Sequence[str]
) -> torch.Tensor:
    own = result.get("pooler_output")
    if not pooling and "pixel_values" in feeds and isinstance(own, torch.Tensor):
        return own.flatten(1)
    if hidden.ndim == 2:
        return hidden
    if hidden.ndim == 4:
        return hidden.mean(dim=(2, 3))
    assert mask is not None
    return torch.cat([_POOLS[mode](hidden, mask) for mode in pooling or ("mean",)], dim=-1)


def _sum(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.where(mask[..., None] > 0, hidden, 0).mul(mask[..., None]).sum(dim=1)


def _count(mask: torch.Tensor) -> torch.Tensor:
    return mask.sum(dim=1, keepdim=True).clamp(min=1e-9)


def _at(hidden: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return hidden[torch.arange(len(hidden), device=hidden.device), place]


def _weighted(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)[None] - mask.argmax(dim=1)[:, None]
    weights = places * mask
    return _sum(hidden, weights) / _count(weights)


_POOLS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cls": lambda hidden, mask: _at(hidden, mask.argmax(dim=1)),
    "max": lambda hidden, mask: hidden.masked_fill(mask[..., None] == 0, -torch.inf).amax(dim=1),
    "mean": lambda hidden, mask: _sum(hidden, mask) / _count(mask),
    "mean_sqrt_len_tokens": lambda hidden, mask: _sum(hidden, mask) / _count(mask).sqrt(),
    "weightedmean": _weighted,
    "lasttoken": lambda hidden, mask: _at(hidden, mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)),
}
"""As `compress.runtime.pooling` has them, in torch."""


def gathered(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """The rows (B, T, D) of `values` (B, S, D) at `places` (B, T); at -1 anything."""
    index = places.clamp(min=0)[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, index)
