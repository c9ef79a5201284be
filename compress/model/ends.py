"""Classifiers that answer at the last end of a text (BART, mBART, T5), in a form that becomes a graph.

transformers gathers hidden states by a mask of ends, whose number no exporter knows. Here what is gathered is
at the last one's place.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def end_of(module: Any) -> int | None:
    """The token at whose last place a module classifies texts; None where it does otherwise."""
    config = module.config
    seq2seq = getattr(config, "is_encoder_decoder", False) and hasattr(module, "classification_head")
    end = getattr(config, "eos_token_id", None)
    return int(end) if seq2seq and isinstance(end, int) else None


@contextmanager
def gathering_by_position(module: Any) -> Iterator[None]:
    """Meanwhile a classifier of `end_of` gathers what it answers by without a mask; others stay."""
    end = end_of(module)
    if end is None:
        yield
        return
    module.forward = _bound(module, end)
    try:
        yield
    finally:
        del module.forward


_LAST_FIRST = ("mbart", "plbart")
"""Models whose decoder reads a text's last token (its language) first, by `model_type`."""


def _shift_of(module: Any) -> Any:
    """How tokens are shifted for the decoder; None where the body does it."""
    if module.config.model_type in _LAST_FIRST:
        return partial(_last_first, padding=module.config.pad_token_id)
    return getattr(module, "_shift_right", None)  # T5's


def _last_first(ids: torch.Tensor, *, padding: int) -> torch.Tensor:
    """As transformers does it, but for a `squeeze` that takes a batch of one for none."""
    last = (ids != padding).sum(dim=1, keepdim=True) - 1
    return torch.cat((ids.gather(1, last), ids[:, :-1]), dim=1)


def _bound(module: Any, end: int) -> Any:
    body = getattr(module, module.base_model_prefix)
    shift = _shift_of(module)

    def classify(
        input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, return_dict: bool = True
    ) -> dict[str, torch.Tensor]:
        del return_dict
        more = {} if shift is None else {"decoder_input_ids": shift(input_ids)}
        hidden = body(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, **more)[0]
        places = torch.arange(input_ids.shape[1])
        last = torch.where(input_ids == end, places, -1).amax(dim=1)
        at = last[:, None, None].expand(-1, 1, hidden.shape[-1])
        return {"logits": module.classification_head(hidden.gather(1, at)[:, 0])}

    return classify
