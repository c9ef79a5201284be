"""What makes the inputs of a block's matrices, where those can be given in other units.

Not read from classes: while a block runs once it is seen which norm made what a matrix reads, and which
matrix has an output for each of its inputs. Whether a unit passes from the one to the other untouched
(nothing else reads it, no nonlinearity lies between) is tried: the block must give what it gave.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from compress.model.observe import ProductObserver, Weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from compress.model.statistics import SharedInput

    Tensors = Mapping[str, torch.Tensor]

_SAME = 1e-3
"""Largest change of what a block adds to a token's hidden states, relative, that is other rounding alone."""
_OFFSETS = (0.0, 1.0)
"""What norms add to their weight: Gemma's 1."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Parameters of a block, by their names below it, along whose outputs channels can be divided."""

    weight: str
    bias: str | None
    offset: float = 0.0
    transposed: bool = False
    """Whether the weight is a matrix that is held (in, out)."""

    def divide(self, block: torch.nn.Module, factors: torch.Tensor) -> None:
        """Divide by `factors` (K,)."""
        weight = block.get_parameter(self.weight).data
        weight = weight.T if self.transposed else weight
        weight.add_(self.offset).div_(factors if weight.ndim == 1 else factors[:, None]).sub_(self.offset)
        if self.bias is not None:
            block.get_parameter(self.bias).data.div_(factors)


@dataclass
class _Seen:
    """Addresses of what matrices read, by their names, and the norm that made what lies at one."""

    inputs: dict[str, int] = field(default_factory=dict)
    norms: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoadedBlock:
    """A block with its weights, `run` on one window of `hidden` (1, T, H), and by their names the matrices
    (`chosen`) that products read. Names below the block follow `prefix`.
    """

    block: torch.nn.Module
    prefix: str
    chosen: Tensors
    hidden: torch.Tensor
    run: Callable[[torch.Tensor], torch.Tensor]
    original: torch.Tensor = field(init=False)
    """What it added when this was made, before its weights were changed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "original", self.added())

    def added(self) -> torch.Tensor:
        """What the block adds to its hidden states, in fp32."""
        with torch.inference_mode():
            return self.run(self.hidden) - self.hidden

    def is_same(self) -> bool:
        """Whether the block adds what it did at first, token by token."""
        change = (self.added() - self.original).norm(dim=-1)
        change = change / self.original.norm(dim=-1).clamp(min=1e-12)
        return bool((change <= _SAME).all())  # NaN is not

    def apply(self, source: Source, shared: SharedInput, factors: torch.Tensor) -> None:
        """Divide the channels (K,) that matrices share, and multiply those matrices."""
        source.divide(self.block, factors)
        for weight in shared.weights:
            tensor = self.chosen[weight.name].data
            tensor.mul_(factors[:, None] if weight.transposed else factors)

    def find(self, shared: SharedInput, inputs: Sequence[SharedInput]) -> Source | None:
        """The source of an input that matrices share, one of a block's `inputs`; None: it has none, or
        experts read it, each a part.
        """
        if any(weight.index is not None for weight in shared.weights):
            return None
        size = shared.hessian.size
        factors = torch.exp(torch.rand(size, generator=torch.Generator().manual_seed(size)) - 0.5)
        for source in [*self._norms(shared), *self._matrices(shared, inputs)]:
            kept = self._copied(source, shared)
            self.apply(source, shared, factors)
            same = self.is_same()
            for name, value in kept.items():
                self.block.get_parameter(name).data.copy_(value)
            if same:
                return source
        return None

    def _copied(self, source: Source, shared: SharedInput) -> dict[str, torch.Tensor]:
        """What a fold changes, as it is."""
        names = {source.weight, *([source.bias] if source.bias else [])}
        names |= {weight.name.removeprefix(self.prefix) for weight in shared.weights}
        return {name: self.block.get_parameter(name).detach().clone() for name in names}

    def _norms(self, shared: SharedInput) -> Iterator[Source]:
        name = self._norm_before.get(shared.weights[0].name)
        if name is not None and len(self.block.get_parameter(f"{name}.weight")) == shared.hessian.size:
            for offset in _OFFSETS:
                yield Source(weight=f"{name}.weight", bias=self._bias(name), offset=offset)

    def _matrices(self, shared: SharedInput, inputs: Sequence[SharedInput]) -> Iterator[Source]:
        others = [weight for other in inputs if other is not shared for weight in other.weights]
        for weight in others:
            tensor = self.chosen[weight.name]
            if weight.index is None and tensor.shape[1 if weight.transposed else 0] == shared.hessian.size:
                name = weight.name.removeprefix(self.prefix)
                bias = self._bias(name.removesuffix(".weight"))
                yield Source(weight=name, bias=bias, transposed=weight.transposed)

    def _bias(self, name: str) -> str | None:
        known = dict(self.block.named_parameters())
        return f"{name}.bias" if f"{name}.bias" in known else None

    @cached_property
    def _norm_before(self) -> dict[str, str]:
        """By the matrices that read what a norm made, its name."""
        seen = self._watched()
        return {name: seen.norms[at] for name, at in seen.inputs.items() if at in seen.norms}

    def _watched(self) -> _Seen:
        """Run the block once, and see."""
        seen, alive = _Seen(), []

        def made(name: str) -> Callable[[torch.nn.Module, object, object], None]:
            def note(module: torch.nn.Module, given: object, output: object) -> None:
                if isinstance(output, torch.Tensor):
                    alive.append(output)
                    seen.norms[output.data_ptr()] = name

            return note

        def read(weight: Weight, x: torch.Tensor) -> None:
            seen.inputs[weight.name] = x.data_ptr()

        hooks = [
            module.register_forward_hook(made(name))
            for name, module in self.block.named_modules()
            if getattr(getattr(module, "weight", None), "ndim", 0) == 1
        ]
        observer = ProductObserver(self.chosen, read)
        with observer, torch.inference_mode():
            self.run(self.hidden)
        observer.forget()
        for hook in hooks:
            hook.remove()
        return seen
