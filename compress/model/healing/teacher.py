"""The original, which answers each batch once where its answers fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from compress.model.healing.answers import Answer, answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.model.healing.batches import Batch
    from compress.model.healing.head import Head

CACHE_BYTES = 1_500_000_000
"""What the answers to all batches may take together, for them to be kept."""


class Teacher:
    """A module that is asked and never changed."""

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        batches: int,
        pooling: Sequence[str] = (),
        states: bool = True,
        head: Head | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._module = module.eval().requires_grad_(False)
        self._batches, self._pooling, self._states, self._head = batches, pooling, states, head
        self._bfloat16 = False
        self._cache_bytes = cache_bytes
        self._kept: dict[int, Answer] = {}
        self.asked = 0
        """How often the module ran."""

    def __call__(self, batch: Batch, *, number: int) -> Answer:
        """What it answers to a batch, which has this `number` at every call."""
        if number not in self._kept:
            found = self._answer(batch)
            self.asked += 1
            if found.size_bytes() / 2 * self._batches > self._cache_bytes:
                return found
            self._kept[number] = found.map(_half)
        # Also the first time as it is kept: a training that goes on after a kill must see the same.
        return self._kept[number].map(lambda tensor: tensor.to(batch.device, torch.float32))

    def use_bfloat16(self) -> None:
        """Multiply by matrices in bfloat16 from now on; sums of blocks and norms stay in fp32."""
        self._bfloat16 = True
        for part in self._module.modules():
            if type(part) is torch.nn.Linear and (self._head is None or part is not self._head.linear):
                part.to(torch.bfloat16)
        for one in self._module.parameters():
            if one.dtype != torch.bfloat16:  # or the whole file that it is mapped from stays in memory
                one.data = one.data.clone()

    def _answer(self, batch: Batch) -> Answer:
        autocast = torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=self._bfloat16)
        with torch.no_grad(), autocast:
            found = answer(
                self._module, batch.teacher, pooling=self._pooling, states=self._states, head=self._head
            )
        return found.map(lambda tensor: tensor.float()) if self._bfloat16 else found


def _half(tensor: torch.Tensor) -> torch.Tensor:
    """In 16 bits: of the finer kind, unless values (some models' hidden states) exceed its range."""
    fits = bool(tensor.abs().max() < 0.5 * torch.finfo(torch.float16).max)
    return tensor.to("cpu", torch.float16 if fits else torch.bfloat16)
