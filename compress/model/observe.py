"""Which products a module computes with its weights, and the inputs of each: seen while it runs.

Products are found by what torch is asked to compute, not by classes of modules: linear layers, GPT-2's
transposed `Conv1D`, fused projections, and experts whose matrices are slices of one tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LINEAR = {torch.nn.functional.linear}
_MATMUL = {torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.mm, torch.Tensor.mm}
_ADDMM = {torch.addmm, torch.Tensor.addmm}


@dataclass(frozen=True)
class Weight:
    """A matrix that products read: the parameter `name`, or its slice `index` along the first axis.

    `transposed` says that it is held as (in, out), where a linear layer holds (out, in).
    """

    name: str
    index: int | None = None
    transposed: bool = False


class ProductObserver(TorchFunctionMode):
    """Tells `seen` the weight and the input (..., K) of each product while it is active, and `made` the
    weight and the product (..., N).

    `parameters` are those to look for, by name. Inputs are kept alive until `forget` is called, so that
    two products have the same input exactly where theirs lie at the same address.
    """

    def __init__(
        self,
        parameters: Mapping[str, torch.Tensor],
        seen: Callable[[Weight, torch.Tensor], None],
        *,
        made: Callable[[Weight, torch.Tensor], None] | None = None,
    ) -> None:
        super().__init__()
        self._by_storage = {
            tensor.untyped_storage().data_ptr(): (name, tensor)
            for name, tensor in parameters.items()
            if tensor.ndim in (2, 3)
        }
        self._seen, self._made = seen, made
        self._alive: list[torch.Tensor] = []

    def forget(self) -> None:
        """Let go of the inputs that were seen."""
        self._alive.clear()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = _operands(func, args, kwargs or {})
        weight = self._find(found[1], linear=func in _LINEAR) if found else None
        if found and weight:
            self._alive.append(found[0])
            self._seen(weight, found[0])
        result = func(*args, **(kwargs or {}))
        if weight and self._made:
            self._made(weight, result)
        return result

    def _find(self, matrix: torch.Tensor, *, linear: bool) -> Weight | None:
        """The parameter that `matrix` is, whole or as a slice, as it lies or transposed."""
        known = self._by_storage.get(matrix.untyped_storage().data_ptr())
        if known is None or matrix.ndim != 2:
            return None
        name, parameter = known
        shape, strides = tuple(parameter.shape[-2:]), tuple(parameter.stride()[-2:])
        turned = (tuple(matrix.shape), matrix.stride()) == (shape[::-1], strides[::-1])
        if not turned and (tuple(matrix.shape), matrix.stride()) != (shape, strides):
            return None
        index = None
        if parameter.ndim == 3:
            index, rest = divmod(matrix.storage_offset() - parameter.storage_offset(), parameter.stride(0))
            if rest:
                return None
        return Weight(name, index, transposed=turned == linear)


def _operands(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The input and the matrix of a product, None for anything else."""
    if func in _LINEAR:
        values = [*args[:2], *(kwargs[name] for name in ("input", "weight") if name in kwargs)]
    elif func in _MATMUL:
        values = list(args[:2])
    elif func in _ADDMM:
        values = list(args[1:3])
    else:
        return None
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return (tensors[0], tensors[1]) if len(tensors) == 2 else None
