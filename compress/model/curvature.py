"""How a model's loss curves in the outputs of its matrices: gathered backwards, one block at a time.

The loss is the divergence from the model's own answers, whose second derivative is Fisher's information; of
it the factor of the outputs is the mean of g g^T over tokens, g the gradient of the log likelihood of tokens
drawn from the model's answers (K-FAC: Martens and Grosse 2015, arXiv:1503.05671, equations 1 and 16). Here
each g has length 1, so that all tokens count alike: the few that all others attend to fill the matrix
otherwise, and there the inputs and the gradients that K-FAC holds for independent are least so.

A forward leaves what enters each block on disk, then blocks are loaded from the last to the first, each for
a forward and a backward of one window after the other: memory grows with one block and one window, not with
depth. Of a matrix with many rows blocks along the diagonal are kept.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch.nn.functional import cross_entropy, normalize

from compress.core.seal import remove_resume_point, resume_point
from compress.model.activations import Activations, written_whole
from compress.model.flow import hand_on
from compress.model.observe import ProductObserver, Weight
from compress.numerics.hessian import Hessian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from compress.model.walk import BlockWalk

    Chosen = Callable[[int, torch.nn.Module], dict[str, torch.Tensor]]

SPAN = 256
"""Rows of a matrix that are taken to curve together, at most."""


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """The curvature of the matrices that `chosen` names of a loaded block of `walk`, on windows int64
    (count, T) of tokens, with files in `work`: a walk that was killed goes on at the block where it was.
    """

    walk: BlockWalk
    windows: np.ndarray
    work: Path
    chosen: Chosen
    seed: int = 0

    def gather(self, advance: Callable[[int], None]) -> None:
        """Gather what is not there; `advance` is told of each block twice, there and back."""
        count = self.walk.count
        missing = [index for index in reversed(range(count)) if not self._file(index).exists()]
        advance(count - len(missing))
        begun = not missing or self._gradient(missing[0] + 1).exists()
        if missing:
            self.work.mkdir(parents=True, exist_ok=True)
            with self.walk.outer():
                self.walk.learn(self.windows)
        if begun:
            advance(count)
        else:
            self._forward(advance)
        for index in missing:
            self._backward(index)
            advance(1)

    def of(
        self, index: int, weights: Sequence[Weight], divided: Mapping[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """The diagonal blocks, float32 (n_i, n_i), of all outputs of matrices of block `index` that read one
        input, each after the other; none where one is missing (experts, and what no product reads).
        `divided` are the factors (N,) by which outputs of a matrix are smaller than the checkpoint's.
        """
        found: list[np.ndarray] = []
        with safe_open(self._file(index), framework="numpy") as tensors:
            keys = [key.rpartition(":")[0] for key in tensors.keys()]  # noqa: SIM118
            for weight in weights:
                count = keys.count(weight.name)
                if not count:
                    return []
                blocks = [tensors.get_tensor(f"{weight.name}:{number}") for number in range(count)]
                found += _in_units(blocks, (divided or {}).get(weight.name))
        return found

    def _forward(self, advance: Callable[[int], None]) -> None:
        with self.walk.outer(), self._new(self._hidden(0)) as entering:
            for number, window in enumerate(self.windows):
                entering.write(number, self.walk.embed(window[None]))
        for index in range(self.walk.count):
            with (
                self.walk.block(index),
                self._open(self._hidden(index)) as entering,
                self._new(self._hidden(index + 1)) as leaving,
            ):
                hand_on(self.walk, index, entering, leaving, count=len(self.windows))
            advance(1)
        self._answer()

    def _answer(self) -> None:
        """The gradients in what left the last block."""
        last = self.walk.count
        with (
            self.walk.outer(),
            self._open(self._hidden(last)) as leaving,
            self._new(self._gradient(last)) as gradients,
        ):
            for number, window in enumerate(self.windows):
                hidden = leaving.read(number).requires_grad_()
                with self.walk.computing(gradients=True):
                    loss = _surprise(self.walk.logits(window[None], hidden), seed=self.seed + number)
                gradients.write(number, torch.autograd.grad(loss, hidden)[0])

    def _backward(self, index: int) -> None:
        with (
            self.walk.block(index) as block,
            self._open(self._hidden(index)) as entering,
            self._open(self._gradient(index + 1)) as coming,
            self._new(self._gradient(index)) as going,
        ):
            outputs = _Outputs(self.chosen(index, block))
            for number in range(len(self.windows)):
                hidden = entering.read(number).requires_grad_()
                with self.walk.computing(gradients=True), outputs.watching():
                    left = self.walk.run(index, hidden)
                going.write(number, torch.autograd.grad(left, hidden, coming.read(number))[0])
        with resume_point(self._file(index)) as part:
            save_file(outputs.stored(), part)
        for path in (self._gradient(index + 1), self._hidden(index + 1)):
            remove_resume_point(path)

    def _file(self, index: int) -> Path:
        return self.work / f"curvature-{index:05}.safetensors"

    def _hidden(self, index: int) -> Path:
        return self.work / f"hidden-{index:05}.bin"

    def _gradient(self, index: int) -> Path:
        return self.work / f"gradient-{index:05}.bin"

    def _open(self, path: Path) -> Activations:
        count, length = self.windows.shape
        return Activations(path, count=count, length=length)

    def _new(self, path: Path) -> AbstractContextManager[Activations]:
        count, length = self.windows.shape
        return written_whole(path, count=count, length=length)


def _surprise(logits: torch.Tensor, *, seed: int) -> torch.Tensor:
    """The summed cross entropy of logits (1, T, V) with tokens that are drawn from them."""
    answers = torch.softmax(logits.detach()[0], -1)
    drawn = torch.multinomial(answers, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    return cross_entropy(logits[0], drawn, reduction="sum")


@dataclass
class _Outputs:
    """Gathers g g^T, |g| = 1, of the products that are computed with `parameters`."""

    parameters: Mapping[str, torch.Tensor]
    _found: dict[str, list[Hessian]] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For a forward whose backward follows."""
        observer = ProductObserver(self.parameters, lambda weight, x: None, made=self._made)
        with observer:
            yield
        observer.forget()

    def _made(self, weight: Weight, product: torch.Tensor) -> None:
        if weight.index is None and product.requires_grad:
            product.register_hook(lambda gradient: self._add(weight.name, gradient))

    def _add(self, name: str, gradient: torch.Tensor) -> None:
        rows = normalize(gradient.float().reshape(-1, gradient.shape[-1]), dim=-1).numpy()
        cuts = _cuts(rows.shape[1])
        blocks = self._found.setdefault(name, [Hessian(end - start) for start, end in cuts])
        for block, (start, end) in zip(blocks, cuts, strict=True):
            block.add(np.ascontiguousarray(rows[:, start:end]))

    def stored(self) -> dict[str, np.ndarray]:
        """The blocks along the diagonal, by name and number."""
        return {
            f"{name}:{number}": block.matrix
            for name, blocks in self._found.items()
            for number, block in enumerate(blocks)
        }


def _in_units(blocks: list[np.ndarray], divided: np.ndarray | None) -> list[np.ndarray]:
    """Of outputs divided by factors: a gradient in those is larger by as much."""
    if divided is None:
        return blocks
    ends = np.cumsum([len(block) for block in blocks])[:-1]
    parts = np.split(divided, ends)
    return [block * np.outer(part, part) for block, part in zip(blocks, parts, strict=True)]


def _cuts(size: int) -> list[tuple[int, int]]:
    """Spans of like length, at most `SPAN`."""
    ends = np.linspace(0, size, -(-size // SPAN) + 1).round().astype(int).tolist()
    return list(itertools.pairwise(ends))
