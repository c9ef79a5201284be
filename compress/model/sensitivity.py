"""How much a model's answers change when one group of its matrices is rounded, and all else stays.

A group is what one block's matrices that read one input are (q, k and v; gate and up), or all experts of a
layer. The divergence is measured, not derived: the states that leave the block with the group rounded to the
fewest bits are carried through all later blocks and the head. The blocks are walked once, each loaded once,
with the states of all groups before it: for N blocks of g groups that is g N (N + 1) / 2 runs of a block on
the windows, so that few and short windows have to do. Rounding is to the nearest on searched grids.

What more bits would leave of it is derived, by the squared change of the block's own output, to which the
divergence is proportional where changes are small.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from compress.model.activations import Activations
from compress.model.observe import ProductObserver
from compress.numerics.groups import fit_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from compress.model.observe import Weight
    from compress.model.walk import BlockWalk

    Chosen = Callable[[int, torch.nn.Module], dict[str, torch.Tensor]]
    States = Sequence[torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Matrices that are given the same bits: `names` of parameters, `elements` numbers in all, and what
    rounding them alone leaves: the divergence KL, nats a token, by bits. That of the fewest is measured.
    """

    names: tuple[str, ...]
    elements: int
    divergence: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class _Probed:
    """A group whose states are on their way: squared changes of its block's output, by bits."""

    path: Path
    names: tuple[str, ...]
    elements: int
    squares: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Measures the groups of `walk` on windows int64 (count, T); states are kept in files in `work`.

    `chosen` gives the matrices of a loaded block that are to be quantized, by name.
    """

    walk: BlockWalk
    windows: np.ndarray
    work: Path
    chosen: Chosen
    bits: tuple[int, ...]
    group_size: int
    symmetric: bool

    def run(self, advance: Callable[[], None] = lambda: None) -> list[Group]:
        """Measure the groups of all blocks."""
        self.work.mkdir(parents=True, exist_ok=True)
        with self.walk.outer(), torch.inference_mode():
            self.walk.learn(self.windows)
            clean = [self.walk.embed(window[None]) for window in self.windows]
        probed: list[_Probed] = []
        for index in range(self.walk.count):
            with self.walk.block(index) as block, torch.inference_mode():
                for one in probed:
                    self._write(one.path, self._through(index, self._read(one.path)))
                probed += self._probe(index, block, clean, len(probed))
                clean = self._through(index, clean)
            advance()
        with self.walk.outer(), torch.inference_mode():
            divergences = self._divergences(clean, probed)
        return [_group(one, value) for one, value in zip(probed, divergences, strict=True)]

    def _probe(self, index: int, block: torch.nn.Module, clean: States, number: int) -> list[_Probed]:
        """Round each group of a loaded block in turn, and keep what leaves the block."""
        chosen = self.chosen(index, block)
        left = self._through(index, clean)
        found: list[_Probed] = []
        for weights in self._groups(index, chosen, clean[0]):
            path = self.work / f"states-{number + len(found):05}.bin"
            squares = {}
            for bits in sorted(self.bits, reverse=True):  # the fewest last, whose states stay
                changed = self._rounded(index, chosen, weights, bits, clean)
                pairs = zip(changed, left, strict=True)
                squares[bits] = float(sum((one - other).square().sum() for one, other in pairs))
            self._write(path, changed)
            names = tuple(sorted({weight.name for weight in weights}))
            elements = sum(chosen[name].numel() for name in names)
            found.append(_Probed(path=path, names=names, elements=elements, squares=squares))
        return found

    def _groups(self, index: int, chosen: dict[str, torch.Tensor], hidden: torch.Tensor) -> list[set[Weight]]:
        """The matrices that read one input; experts, which read parts of it, by the name of all."""
        groups: dict[object, set[Weight]] = {}

        def seen(weight: Weight, x: torch.Tensor) -> None:
            name = re.sub(r"\.\d+(?=\.)", ".N", weight.name)
            alone = weight.index is not None or ".experts." in name
            groups.setdefault(name if alone else (x.data_ptr(), x.shape), set()).add(weight)

        with ProductObserver(chosen, seen) as observer:
            self.walk.run(index, hidden)
        observer.forget()
        return list(groups.values())

    def _rounded(
        self, index: int, chosen: dict[str, torch.Tensor], weights: set[Weight], bits: int, clean: States
    ) -> list[torch.Tensor]:
        """What leaves the block with some matrices rounded, which are as they were afterwards."""
        held = {weight.name: weight.transposed for weight in weights}
        kept = {name: chosen[name].clone() for name in held}
        try:
            for name, transposed in held.items():
                for matrix in chosen[name] if chosen[name].ndim == 3 else [chosen[name]]:
                    self._round(matrix.T if transposed else matrix, bits)
            return self._through(index, clean)
        finally:
            for name, value in kept.items():
                chosen[name].copy_(value)

    def _round(self, matrix: torch.Tensor, bits: int) -> None:
        """Round (N, K) in place."""
        array = np.ascontiguousarray(matrix.numpy())
        columns = array.shape[1]
        size = columns if self.group_size < 0 else min(self.group_size, columns)
        grid = fit_groups(array, bits=bits, group_size=size, symmetric=self.symmetric)
        matrix.copy_(torch.from_numpy(grid.decode(grid.encode(array))))

    def _through(self, index: int, hidden: States) -> list[torch.Tensor]:
        return [self.walk.run(index, one) for one in hidden]

    def _divergences(self, clean: States, probed: Sequence[_Probed]) -> list[float]:
        """Of each group, the mean over all tokens; one window's logits are in memory at a time."""
        total = np.zeros(len(probed))
        for number, window in enumerate(self.windows):
            expected = torch.log_softmax(self.walk.logits(window[None], clean[number]), -1)
            for place, one in enumerate(probed):
                logits = self.walk.logits(window[None], self._read(one.path)[number])
                total[place] += float(_divergence(expected, torch.log_softmax(logits, -1)))
        return list(total / len(self.windows))

    def _write(self, path: Path, states: States) -> None:
        count, length = self.windows.shape
        with Activations(path, count=count, length=length, new=True) as file:
            for number, one in enumerate(states):
                file.write(number, one)

    def _read(self, path: Path) -> list[torch.Tensor]:
        count, length = self.windows.shape
        with Activations(path, count=count, length=length) as file:
            return [file.read(number) for number in range(count)]


def _group(probed: _Probed, divergence: float) -> Group:
    lowest = min(probed.squares)
    size = probed.squares[lowest] or 1.0
    values = {bits: max(divergence, 0.0) * square / size for bits, square in probed.squares.items()}
    return Group(names=probed.names, elements=probed.elements, divergence=values)


def _divergence(expected: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """KL of log probabilities (1, T, V), the mean over tokens."""
    return (expected.exp() * (expected - found)).sum(-1).mean()
