"""What the layers of a decoder keep from step to step, as plain tensors and as transformers' own cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import pad

from compress.core.errors import CompressError
from compress.decoder.recurrence import is_known, keeps_values_first

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HINT = "keys and values are supported and, beside them, states of Mamba 2 and of gated delta rules"


@dataclass(frozen=True)
class State:
    """What a layer without, or beside, keys and values keeps.

    Attributes:
        layer: its number.
        conv: channels of its short convolution, and the positions before the next one that this reads.
        recurrent: heads, width of keys and width of values of its state.
    """

    layer: int
    conv: tuple[int, int]
    recurrent: tuple[int, int, int]


@dataclass(frozen=True)
class Shape:
    """The cache of a decoder: for each layer with keys and values the heads and the width of its keys, then
    of its values.

    ONNX Runtime GenAI feeds tensors of one shape for all layers. Where a model's own differ (a narrow vector
    from which keys and values are made, other heads in some layers), all have the largest, filled up with
    zeros.

    Attributes:
        numbers: of the layers with keys and values.
        count: of all layers.
        turned: the module keeps states as (heads, values, keys), not as they are fed.
    """

    own: tuple[tuple[int, int], ...]
    numbers: tuple[int, ...]
    count: int
    states: tuple[State, ...] = ()
    turned: bool = False

    @property
    def heads(self) -> int:
        """Heads that are fed."""
        return max(heads for heads, _ in self.own)

    @property
    def width(self) -> int:
        """Channels of each that are fed."""
        return max(width for _, width in self.own)

    def names(self, keys_and_values: str, states: str) -> list[str]:
        """Of the tensors in their order: `past_key_values.3.key`, `past.0.conv`."""
        pairs = [f"{keys_and_values}.{layer}.{part}" for layer in self.numbers for part in ("key", "value")]
        return pairs + [
            f"{states}.{one.layer}.{part}" for one in self.states for part in ("conv", "recurrent")
        ]

    def sizes(self, *, batch: int, past: int) -> list[tuple[int, ...]]:
        """Of the tensors in their order, after `past` tokens."""
        kept = [(batch, self.heads, past, self.width)] * len(self.own)
        return kept + [(batch, *part) for one in self.states for part in (one.conv, one.recurrent)]

    def cut(self, fed: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The layers' own keys and values of what is fed, each (B, heads, T, width)."""
        return [one[:, :heads, :, :width] for one, (heads, width) in zip(fed, self.own, strict=True)]

    def filled_up(self, own: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What is fed, of the layers' own keys and values."""
        missing = [(0, self.width - width, 0, 0, 0, self.heads - heads) for heads, width in self.own]
        return [pad(one, by) if any(by) else one for one, by in zip(own, missing, strict=True)]

    def opened(self, config: Any, fed: Sequence[torch.Tensor]) -> Any:
        """Transformers' cache that holds what is fed."""
        from transformers import DynamicCache

        own = self.cut(fed[: len(self.own)])
        pairs = list(zip(own[0::2], own[1::2], strict=True))
        if self.count == len(self.numbers) and not self.states:
            return DynamicCache(pairs)
        cache = DynamicCache(config=config)
        for number, (keys, values) in zip(self.numbers, pairs, strict=True):
            cache.layers[number] = _growing(cache.layers[number])
            cache.layers[number].update(keys, values)
        rest = iter(fed[len(self.own) :])
        for one in self.states:
            _set_state(cache.layers[one.layer], next(rest), self._turn(next(rest)))
        return cache

    def closed(self, cache: Any) -> list[torch.Tensor]:
        """What is handed to the next step."""
        layers = [cache.layers[number] for number in self.numbers]
        kept = self.filled_up([tensor for layer in layers for tensor in (layer.keys, layer.values)])
        for one in self.states:
            layer = cache.layers[one.layer]
            kept += [layer.conv_states[0][..., -one.conv[1] :], self._turn(layer.recurrent_states[0])]
        return kept

    def _turn(self, state: torch.Tensor) -> torch.Tensor:
        return state.transpose(2, 3) if self.turned else state


def _growing(layer: Any) -> Any:
    """A layer of a cache that drops nothing: what a window does not show is masked."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    return DynamicLayer() if isinstance(layer, DynamicSlidingWindowLayer) else layer


def _set_state(layer: Any, conv: torch.Tensor, recurrent: torch.Tensor) -> None:
    """Fill a layer as if tokens had been read. It records the past, so that states are replaced and not
    written over, which a graph's inputs cannot be.
    """

    def replace(recurrent_states: torch.Tensor, state_idx: int = 0, **more: Any) -> torch.Tensor:
        del more
        layer.recurrent_states[state_idx] = recurrent_states
        return recurrent_states

    layer.record_past = True
    layer.conv_states, layer.recurrent_states = {0: conv}, {0: recurrent}
    layer.conv_kernel_size = {0: conv.shape[-1]}
    for told in (
        layer.is_conv_states_initialized,
        layer.is_recurrent_states_initialized,
        layer.has_previous_state,
    ):
        told[0] = True
    layer.update_recurrent_state = replace


def cache_shape(module: torch.nn.Module) -> Shape:
    """The cache of a module, as a run of two tokens leaves it.

    Raises:
        CompressError: its layers keep something else than keys, values and the states of `State`.
    """
    layers, turned = _layers(module), keeps_values_first(module)
    read = partial(_state, turned=turned) if is_known(module) else None
    found = [_kept(number, layer, read) for number, layer in enumerate(layers)]
    unknown = [str(number) for number, kept in enumerate(found) if kept is None]
    known = [kept for kept in found if kept is not None]
    own = tuple(one for pair, _ in known for one in pair)
    if unknown or not own:
        where = (
            f"layers {', '.join(unknown[:8])}{' and more' * (len(unknown) > 8)}" if unknown else "its layers"
        )
        message = f"{type(module).__name__} keeps something else than keys and values in {where}"
        raise CompressError("cache-unsupported", message, hint=_HINT)
    return Shape(
        own=own,
        numbers=tuple(number for number, (pair, _) in enumerate(known) if pair),
        count=len(layers),
        states=tuple(state for _, state in known if state),
        turned=turned,
    )


def _layers(module: torch.nn.Module) -> list[Any]:
    """The cache's own, after two tokens."""
    from transformers import DynamicCache

    try:
        with torch.inference_mode():
            outputs = module(input_ids=torch.ones(1, 2, dtype=torch.int64), use_cache=True)
    except Exception as error:  # transformers raises whatever its caches raise
        reason = " ".join(str(error).split())[:200]
        message = f"{type(module).__name__} cannot be run with a cache: {reason}"
        raise CompressError("cache-unsupported", message, hint=_HINT) from error
    cache = getattr(outputs, "past_key_values", None)
    return list(cache.layers) if isinstance(cache, DynamicCache) else []


def _kept(
    number: int, layer: Any, read: Callable[[int, Any], State | None] | None
) -> tuple[list[tuple[int, int]], State | None] | None:
    """Heads and width of a layer's keys and values, if it has some, and its state; None where it keeps
    something else, or a state where there is nothing that can `read` it.
    """
    if isinstance(layer, _keeping_nothing()):
        return [], None
    parts = [getattr(layer, name, None) for name in ("keys", "values")]
    pair = [(one.shape[1], one.shape[3]) for one in parts if one is not None and one.ndim == 4]
    if not getattr(layer, "conv_states", None):
        return (pair, None) if len(pair) == 2 else None
    state = read(number, layer) if read else None
    return (pair, state) if state else None


def _state(number: int, layer: Any, *, turned: bool) -> State | None:
    """That of a layer which keeps one of a convolution and one of a recurrence."""
    kinds = (layer.conv_states, layer.recurrent_states)
    shapes = [[tuple(one.shape[1:]) for one in kind.values() if one is not None] for kind in kinds]
    if [[len(shape) for shape in kind] for kind in shapes] != [[2], [3]]:
        return None
    ((channels, width),), ((heads, first, second),) = shapes
    recurrent = (heads, second, first) if turned else (heads, first, second)
    return State(number, (channels, width - 1), recurrent)


def _keeping_nothing() -> tuple[type, ...]:
    """Of layers without attention, and of those that use what another layer keeps."""
    from transformers import cache_utils

    dummy = getattr(cache_utils, "DummyLayer", None)
    return (dummy,) if dummy else ()
