"""How much a model's answers change when one group of its matrices is rounded, and all else stays.

A group is what one block's matrices that read one input are (q, k and v; gate and up), or all experts of a
layer. The divergence is measured, not derived: the states that leave the block with the group rounded are
carried through all later blocks and the head. The blocks are walked once, each loaded once, with the states
of all groups before it: for N blocks of g groups that is g N (N + 1) / 2 runs of a block on the windows, so
that few and short windows have to do. Rounding is to the nearest on searched grids.

Every choice of bits is measured but the most, whose divergence is next to nothing: it is derived from that of
the fewest by the squared errors of the weights. (Deriving others failed: by the squared change of the block's
output, which in early blocks of SmolLM2-135M is that of a few very large states, 4 bits seemed worse than 3.)
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.core.seal import resume_point
from compress.model.activations import Activations, written_whole
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
    rounding them alone leaves: the divergence KL, nats a token, by bits.
    """

    names: tuple[str, ...]
    elements: int
    divergence: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class _Probed:
    """A group whose states are on their way, and the squared errors of its rounded weights, by bits."""

    names: tuple[str, ...]
    elements: int
    errors: dict[int, float]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Measures the groups of `walk` on windows int64 (count, T).

    `chosen` gives the matrices of a loaded block that are to be quantized, by name. In `work` lie the states
    that enter the next block, the model's own as number 0, and what is known so far: a measurement that was
    killed goes on at the block where it was.
    """

    walk: BlockWalk
    windows: np.ndarray
    work: Path
    chosen: Chosen
    bits: tuple[int, ...]
    group_size: int
    symmetric: bool

    def run(self, advance: Callable[[int], None]) -> list[Group]:
        """Measure the groups of all blocks."""
        done, probed = self._start()
        advance(done)
        for index in range(done, self.walk.count):
            self._folder(index + 1)
            with self.walk.block(index) as block, torch.inference_mode():
                for number in range(self._states(len(probed))):
                    self._write(index + 1, number, self._through(index, self._read(index, number)))
                probed += self._probe(index, block, len(probed))
            self._finish(index, probed)
            advance(1)
        with self.walk.outer(), torch.inference_mode():
            divergences = self._divergences(self._states(len(probed)))
        parts = divergences[1:].reshape(len(probed), -1)  # (groups, measured bits)
        return [self._group(one, part) for one, part in zip(probed, parts, strict=True)]

    @property
    def _measured(self) -> list[int]:
        """The bits of which states are carried through the model."""
        return sorted(self.bits)[:-1] or list(self.bits)

    def _states(self, groups: int) -> int:
        """How many states there are with those of so many groups: first the model's own."""
        return 1 + groups * len(self._measured)

    def _start(self) -> tuple[int, list[_Probed]]:
        """Learn how blocks are called; the blocks that are done, and the groups that are known."""
        self.work.mkdir(parents=True, exist_ok=True)
        with self.walk.outer(), torch.inference_mode():
            self.walk.learn(self.windows)
            if not self._known.exists():
                self._folder(0)
                self._write(0, 0, [self.walk.embed(window[None]) for window in self.windows])
                return 0, []
        found = json.loads(self._known.read_text(encoding="utf8"))
        return found["done"], [_probed(value) for value in found["probed"]]

    @property
    def _known(self) -> Path:
        return self.work / "known"

    def _finish(self, index: int, probed: Sequence[_Probed]) -> None:
        known = {"done": index + 1, "probed": [asdict(one) for one in probed]}
        with resume_point(self._known) as part:
            part.write_text(json.dumps(known), encoding="utf8")
        shutil.rmtree(self.work / str(index))

    def _probe(self, index: int, block: torch.nn.Module, before: int) -> list[_Probed]:
        """Round each group of a loaded block in turn, and keep what leaves the block; `before` are known."""
        chosen, clean = self.chosen(index, block), self._read(index, 0)
        found: list[_Probed] = []
        for weights in self._groups(index, chosen, clean[0]):
            held = {weight.name: weight.transposed for weight in weights}
            kept = {name: chosen[name].clone() for name in held}
            number, errors = self._states(before + len(found)), {}
            for bits in sorted(self.bits):
                errors[bits] = sum(self._round(chosen[name], kept[name], held[name], bits) for name in held)
                if bits in self._measured:
                    self._write(index + 1, number + len(errors) - 1, self._through(index, clean))
            for name, value in kept.items():
                chosen[name].copy_(value)
            elements = sum(value.numel() for value in kept.values())
            found.append(_Probed(names=tuple(sorted(held)), elements=elements, errors=errors))
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

    def _round(self, into: torch.Tensor, value: torch.Tensor, transposed: bool, bits: int) -> float:
        """Put a matrix, or a stack of such, rounded into its place; the squared error."""
        for place, one in zip(*((x if x.ndim == 3 else x[None]) for x in (into, value)), strict=True):
            array = np.ascontiguousarray((one.T if transposed else one).numpy())
            columns = array.shape[1]
            size = columns if self.group_size < 0 else min(self.group_size, columns)
            grid = fit_groups(array, bits=bits, group_size=size, symmetric=self.symmetric)
            rounded = torch.from_numpy(grid.decode(grid.encode(array)))
            place.copy_(rounded.T if transposed else rounded)
        return float((into - value).square().sum())

    def _through(self, index: int, hidden: States) -> list[torch.Tensor]:
        return [self.walk.run(index, one) for one in hidden]

    def _divergences(self, count: int) -> np.ndarray:
        """Of each of so many states from the first, the mean over all tokens; one window is in memory at a
        time.
        """
        last, total = self.walk.count, np.zeros(count)
        for place, window in enumerate(self.windows):
            clean = self.walk.logits(window[None], self._read(last, 0)[place])
            expected = torch.log_softmax(clean, -1)
            for number in range(1, count):
                logits = self.walk.logits(window[None], self._read(last, number)[place])
                total[number] += float(_divergence(expected, torch.log_softmax(logits, -1)))
        return total / len(self.windows)

    def _group(self, probed: _Probed, measured: np.ndarray) -> Group:
        values = {bits: max(float(one), 0.0) for bits, one in zip(self._measured, measured, strict=True)}
        fewest, most = min(self.bits), max(self.bits)
        share = probed.errors[most] / (probed.errors[fewest] or 1.0)
        return Group(
            names=probed.names, elements=probed.elements, divergence={most: share * values[fewest], **values}
        )

    def _folder(self, index: int) -> None:
        """An empty folder for the states that enter a block."""
        folder = self.work / str(index)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    def _path(self, index: int, number: int) -> Path:
        return self.work / str(index) / f"{number:05}.bin"

    def _write(self, index: int, number: int, states: States) -> None:
        count, length = self.windows.shape
        with written_whole(self._path(index, number), count=count, length=length) as file:
            for place, one in enumerate(states):
                file.write(place, one)

    def _read(self, index: int, number: int) -> list[torch.Tensor]:
        count, length = self.windows.shape
        with Activations(self._path(index, number), count=count, length=length) as file:
            return [file.read(place) for place in range(count)]


def _probed(value: dict[str, Any]) -> _Probed:
    errors = {int(bits): error for bits, error in value["errors"].items()}
    return _Probed(names=tuple(value["names"]), elements=value["elements"], errors=errors)


def _divergence(expected: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """KL of log probabilities (1, T, V), the mean over tokens."""
    return (expected.exp() * (expected - found)).sum(-1).mean()
