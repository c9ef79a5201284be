"""What calibration data says about the dense layers that are to lose inputs: moments of what they read, and
how much the model's answers depend on what they write.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import log_softmax, normalize

from compress.core.errors import CompressError
from compress.model.structure.outputs import answer, pooled, tensors_of
from compress.model.structure.stack import matrix_of
from compress.numerics.least_squares import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np

    from compress.core.artifact import Feeds, Progress
    from compress.model.structure.outputs import Answer

_SUM = torch.float64


_AT_ONCE = 2**30
"""Bytes of sums that are gathered at once; where there is more, the data is run through again."""


@dataclass(frozen=True)
class Observed:
    """Of one dense layer (d, n): the moments of its inputs and `sensitivity` = E g g^T float64 (d, d), where
    g is the gradient of the model's answers with respect to the layer's output (zero if not asked for).
    """

    moments: Moments
    sensitivity: np.ndarray


def observe(
    module: torch.nn.Module,
    names: Sequence[str],
    feeds: Sequence[Feeds],
    *,
    progress: Progress,
    seed: int = 0,
    gradients: bool = True,
    half: bool = False,
) -> dict[str, Observed]:
    """The statistics of the dense layers `names`, over positions that are not padding. With `half` the module
    multiplies in bfloat16; sums are in higher precision.

    The gradients are those of the Fisher information of the model's own answers, for which no label is
    needed: of log p(y) with y drawn from the model's p (Martens 2014, arXiv:1412.1193), or, of an embedding,
    of its product with a random direction, whose square has the expectation ||J||^2 (Hutchinson).

    Raises:
        CompressError: there is no data.
    """
    if not feeds:
        raise CompressError("data-empty", "no calibration data", hint="name some with --data")
    parts = list(_parts(module, names, gradients=gradients))
    found: dict[str, Observed] = {}
    with progress.track("Observing layers", len(feeds) * len(parts)) as advance:
        for part in parts:
            sums = {name: _Sums(module.get_submodule(name), gradients=gradients) for name in part}
            generator = torch.Generator().manual_seed(seed)
            for batch in tensors_of(feeds):
                _add(module, batch, sums, generator if gradients else None, half=half)
                advance()
            found |= {name: one.finish() for name, one in sums.items()}
    return found


def _parts(module: torch.nn.Module, names: Sequence[str], *, gradients: bool) -> Iterator[list[str]]:
    """The names in groups whose sums fit into memory together."""
    part: list[str] = []
    size = 0
    for name in names:
        rows, columns = matrix_of(module.get_submodule(name)).shape
        own = 8 * (columns**2 + (rows**2 if gradients else 0))
        if part and size + own > _AT_ONCE:
            yield part
            part, size = [], 0
        part, size = [*part, name], size + own
    yield part


def _add(
    module: torch.nn.Module,
    batch: dict[str, torch.Tensor],
    sums: dict[str, _Sums],
    generator: torch.Generator | None,
    *,
    half: bool,
) -> None:
    mask = batch.get("attention_mask")
    with ExitStack() as within:
        within.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=half))
        for one in sums.values():
            within.callback(one.watch(mask).remove)
        found = answer(module, batch, grad=generator is not None)
    if generator is not None:
        _drawn(found, mask, generator).backward()


class _Sums:
    """Sums over the calls of one dense layer."""

    def __init__(self, linear: torch.nn.Module, *, gradients: bool) -> None:
        self.linear, self.gradients = linear, gradients
        rows, columns = matrix_of(linear).shape
        self.gram = torch.zeros(columns, columns, dtype=_SUM)
        self.total = torch.zeros(columns, dtype=_SUM)
        self.outer = torch.zeros((rows, rows) if gradients else (0, 0), dtype=_SUM)
        self.rows = 0

    def watch(self, mask: torch.Tensor | None) -> Any:
        """Add the layer's calls to the sums until the handle is removed."""

        def see(_: torch.nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            x = _counted(args[0].detach(), mask)
            with torch.autocast(x.device.type, enabled=False):  # or this product is rounded to bfloat16, too
                self.gram += (x.T @ x).to(_SUM)
            self.total += x.sum(dim=0).to(_SUM)
            self.rows += len(x)
            if self.gradients:
                output = output if output.requires_grad else output.detach().requires_grad_()
                output.register_hook(self._gradient(mask))
            return output

        return self.linear.register_forward_hook(see)

    def _gradient(self, mask: torch.Tensor | None) -> Callable[[torch.Tensor], None]:
        def add(gradient: torch.Tensor) -> None:
            g = _counted(gradient, mask)
            self.outer += (g.T @ g).to(_SUM)

        return add

    def finish(self) -> Observed:
        moments = Moments(self.gram.numpy(), self.total.numpy(), self.rows)
        return Observed(moments, self.outer.numpy() / max(self.rows, 1))


def _counted(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(.., n) as rows (N, n) fp32 without those of padding."""
    values = values.float()
    if mask is not None and values.shape[:2] == mask.shape:
        return values[mask.bool()]
    return values.reshape(-1, values.shape[-1])


def _drawn(found: Answer, mask: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    values = found.values
    if not found.logits or values.shape[-1] == 1:
        z = values if found.logits else normalize(pooled(values, mask), dim=-1)
        return (z * torch.randn(z.shape, generator=generator)).sum()
    logs = log_softmax(_counted(values, mask), dim=-1)  # (N, C)
    drawn = torch.multinomial(logs.detach().exp(), 1, generator=generator)
    return logs.gather(1, drawn).sum()
