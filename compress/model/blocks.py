"""One block of a model quantized: observed on its calibration inputs, rounded, stored, and run once more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import Conv1d, Conv2d, Conv3d

from compress.core.errors import CompressError
from compress.model.observe import Weight
from compress.model.producers import LoadedBlock
from compress.model.quantized import QuantizedMatrix, write_block
from compress.model.rounding import UNREAD, Rounded, Scheme, facts, is_gate, round_matrices
from compress.model.scaling import BlockScaler, Scaled
from compress.model.statistics import InputStatistics, SharedInput
from compress.numerics.hessian import Hessian

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from compress.model.curvature import Curvature
    from compress.model.flow import BlockFlow
    from compress.model.stream import WeightStream
    from compress.model.walk import BlockWalk

    Tensors = Mapping[str, torch.Tensor]
    Facts = dict[str, dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class BlockQuantizer:
    """Quantizes the blocks of `walk`, in order, on what flows through them."""

    walk: BlockWalk
    flow: BlockFlow
    scheme: Scheme
    exclude: tuple[str, ...] = ()
    minimum_elements: int = 0
    bits: Mapping[str, int] = field(default_factory=dict)
    """By parameter, where they are others than the scheme's; one number for those that read one input."""
    curvature: Curvature | None = None
    """Of the loss in the matrices' outputs; None: all outputs count alike."""
    scaler: BlockScaler | None = None
    """Scales channels before matrices are rounded; None: they stay as they are."""

    def run(self, index: int) -> None:
        """Quantize block `index` and store it as finished."""
        with self.walk.block(index) as block:
            chosen = self.chosen(index, block)
            inputs = self._observe(index, chosen)
            scaled = self._scale(index, block, chosen, inputs)
            rounded, found = self._round(index, inputs, chosen, scaled)
            self.flow.finish(index, lambda part: self._store(index, rounded, found, scaled, part))

    def chosen(self, index: int, block: torch.nn.Module) -> dict[str, torch.Tensor]:
        """The matrices of a loaded block that are quantized, by name."""
        path = f"{self.walk.prefix}.{index}"
        parameters = {f"{path}.{name}": value for name, value in block.named_parameters()}
        experts = _experts(block)
        return {
            name: value.data for name, value in parameters.items() if self._is_wanted(name, value, experts)
        }

    def _is_wanted(self, name: str, value: torch.Tensor, experts: list[torch.Tensor]) -> bool:
        is_stack = any(value is one for one in experts)
        if not (is_stack or value.ndim == 2) or value.numel() < self.minimum_elements:
            return False
        if any(fnmatchcase(name, pattern) for pattern in self.exclude):
            return False
        # A matrix of as many rows as there are experts is their router, which stays as it is.
        return is_stack or not (is_gate(value.shape) or len(value) in {len(one) for one in experts})

    def _observe(self, index: int, chosen: Tensors) -> list[SharedInput]:
        statistics = InputStatistics(chosen)
        with self.walk.computing(), self.flow.entering(index) as entering:
            for number in range(len(self.flow.windows)):
                statistics.watch(partial(self.walk.run, index, entering.read(number)))
        return statistics.inputs

    def _scale(
        self, index: int, block: torch.nn.Module, chosen: Tensors, inputs: list[SharedInput]
    ) -> Scaled:
        if self.scaler is None:
            return Scaled()
        with self.flow.entering(index) as entering:
            hidden = entering.read(0)
        loaded = LoadedBlock(
            block=block,
            prefix=f"{self.walk.prefix}.{index}.",
            chosen=chosen,
            hidden=hidden,
            run=partial(self.walk.run, index),
        )
        return self.scaler.scale(loaded, inputs, self.scheme.fit)

    def _round(
        self, index: int, inputs: list[SharedInput], chosen: Tensors, scaled: Scaled
    ) -> tuple[dict[Weight, Rounded], Facts]:
        """Round what was observed, and put the rounded values into the block."""
        done: dict[Weight, Rounded] = {}
        found: Facts = {}
        for shared in [*inputs, *_unreached(inputs, chosen)]:
            matrices = [_read(chosen, weight) for weight in shared.weights]
            scheme = replace(self.scheme, bits=self.bits.get(shared.weights[0].name, self.scheme.bits))
            curvature = self._curvature(index, shared, scaled)
            results = round_matrices(matrices, shared, scheme, curvature=curvature)
            for weight, matrix, rounded in zip(shared.weights, matrices, results, strict=True):
                done[weight] = rounded
                values = rounded.values()
                found[_label(weight)] = facts(rounded, matrix, values)
                _write(chosen, weight, values)
        read = {weight.name for weight in done}
        found |= {name: {"why": UNREAD} for name in chosen if name not in read}
        return done, found

    def _curvature(self, index: int, shared: SharedInput, scaled: Scaled) -> list[np.ndarray]:
        return self.curvature.of(index, shared.weights, scaled.outputs) if self.curvature else []

    def _store(
        self, index: int, rounded: dict[Weight, Rounded], found: Facts, scaled: Scaled, part: Path
    ) -> None:
        names = self.walk.names(index)
        matrices = stored_matrices(self.walk.stream, rounded, symmetric=self.scheme.symmetric)
        replaced = {weight.name for weight in rounded}
        others = [name for name in names if self.walk.stream.targets[name] not in replaced]
        write_block(part, matrices, {name: self._other(name, scaled) for name in others})
        self.flow.note(f"block-{index:05}", found)

    def _other(self, name: str, scaled: Scaled) -> torch.Tensor:
        target = self.walk.stream.targets[name]
        return self.walk.parameter(target) if target in scaled.changed else self.walk.stream.raw(name)


def stored_matrices(
    stream: WeightStream, rounded: Mapping[Weight, Rounded], *, symmetric: bool
) -> dict[str, QuantizedMatrix]:
    """Rounded matrices under the names that the checkpoint has for them.

    Raises:
        CompressError: experts are held transposed, and apart in the checkpoint.
    """
    stored: dict[str, QuantizedMatrix] = {}
    experts: dict[str, dict[int, QuantizedMatrix]] = {}
    for weight, one in rounded.items():
        matrix = one.stored(symmetric=symmetric, transposed=weight.transposed)
        if weight.index is None:
            stored[source_name(stream, weight.name)] = matrix
        else:
            experts.setdefault(weight.name, {})[weight.index] = matrix
    for name, slices in experts.items():
        stored |= _stored_experts(stream, name, [slices[index] for index in sorted(slices)])
    return stored


def source_name(stream: WeightStream, target: str) -> str:
    """The checkpoint's name of a parameter; the module's where that was made of several tensors."""
    names = [name for name, goal in stream.targets.items() if goal == target]
    return names[0] if len(names) == 1 else target


def _stored_experts(
    stream: WeightStream, name: str, slices: list[QuantizedMatrix]
) -> dict[str, QuantizedMatrix]:
    sources = [source for source, target in stream.targets.items() if target == name]
    if len(sources) == 1:
        return {f"{sources[0]}.{index}": matrix for index, matrix in enumerate(slices)}
    if slices[0].layout.transposed:
        message = f"the experts of '{name}' are held transposed, and apart in the checkpoint"
        raise CompressError("experts-unsupported", message, hint=f"exclude '{name}'")
    # Rows do not depend on each other, so codes and grids are cut along them as the tensor itself is.
    codes, scales, zeros = (
        stream.reverted({name: torch.stack([getattr(matrix, part) for matrix in slices])})
        for part in ("codes", "scales", "zeros")
    )
    stored = {}
    for part, values in codes.items():
        layout = replace(slices[0].layout, shape=(values.shape[0], values.shape[1]))
        stored[part] = QuantizedMatrix(layout=layout, codes=values, scales=scales[part], zeros=zeros[part])
    return stored


def _unreached(inputs: list[SharedInput], chosen: Tensors) -> list[SharedInput]:
    """Experts that no token was routed to, held as those are that some were."""
    seen = {weight for shared in inputs for weight in shared.weights}
    held = {weight.name: weight.transposed for weight in seen if weight.index is not None}
    missing = [
        weight
        for name, transposed in held.items()
        for index in range(len(chosen[name]))
        if (weight := Weight(name, index, transposed)) not in seen
    ]
    return [SharedInput(Hessian(_read(chosen, weight).shape[1]), weights=[weight]) for weight in missing]


def _experts(block: torch.nn.Module) -> list[torch.Tensor]:
    """The parameters of a block that hold the matrices of several experts: not kernels of convolutions."""
    parts = [part for part in block.modules() if not isinstance(part, (Conv1d, Conv2d, Conv3d))]
    return [value for part in parts for value in part.parameters(recurse=False) if value.ndim == 3]


def _slice(chosen: Tensors, weight: Weight) -> torch.Tensor:
    tensor = chosen[weight.name].data
    tensor = tensor if weight.index is None else tensor[weight.index]
    return tensor.T if weight.transposed else tensor


def _read(chosen: Tensors, weight: Weight) -> np.ndarray:
    """The matrix (out, in) of a weight."""
    return np.ascontiguousarray(_slice(chosen, weight).numpy())


def _write(chosen: Tensors, weight: Weight, values: np.ndarray) -> None:
    _slice(chosen, weight).copy_(torch.from_numpy(values))


def _label(weight: Weight) -> str:
    return weight.name if weight.index is None else f"{weight.name}.{weight.index}"
