"""What pruning a part of a model would save, from its structure alone: for `inspect`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.model.inputs import inputs_of
from compress.model.structure.hollow import hollow_module
from compress.model.structure.outputs import answer
from compress.model.structure.sites import find_sites, unit_size
from compress.model.structure.stack import find_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from compress.model.structure.sites import Site

QUARTER = 0.25


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A step, what it would remove (`384 of 1536 features in each of 6 blocks`), and how many weights go."""

    step: str
    removes: str
    parameters: int

    @property
    def size_bytes(self) -> int:
        """Bytes of those weights in fp32, as graphs are before they are quantized."""
        return 4 * self.parameters


def savings(folder: Path, task: str) -> list[Saving]:
    """What each pruning step would save, the most first. No weight is read.

    Raises:
        CompressError: the structure of the model is not understood.
    """
    module = hollow_module(folder, task)
    stack = find_stack(module)
    sample = inputs_of(module, folder).sample(batch=1, length=8, seed=0)
    sites = find_sites(stack, lambda: answer(module, sample, grad=True))
    found = [*_depth(stack.blocks), *_widths(module, sites), *_vocabulary(module)]
    return sorted(found, key=lambda saving: -saving.parameters)


def _depth(blocks: torch.nn.ModuleList) -> Iterator[Saving]:
    if len(blocks) > 1:
        total = sum(parameter.numel() for parameter in blocks.parameters())
        yield Saving(
            step="prune.layers", removes=f"1 of {len(blocks)} blocks", parameters=total // len(blocks)
        )


def _widths(module: torch.nn.Module, sites: list[Site]) -> Iterator[Saving]:
    kinds = defaultdict(list)
    for site in sites:
        kinds[site.kind].append(site)
    for kind, own in kinds.items():
        counts = sorted({len(site.units) for site in own})
        total = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
        what = "features" if kind == "ffn" else "key-value heads"
        gone = sum(round(len(site.units) * QUARTER) * unit_size(module, site) for site in own)
        removes = f"a quarter of {total} {what} at {len(own)} places"
        yield Saving(step=f"prune.{kind}", removes=removes, parameters=gone)


def _vocabulary(module: Any) -> Iterator[Saving]:
    """Half of the tokens, of the embedding and of a head that is not tied to it."""
    if getattr(module, "main_input_name", "") != "input_ids":
        return
    tables = [module.get_input_embeddings(), module.get_output_embeddings()]
    tied = getattr(module.config, "tie_word_embeddings", False)
    sizes = [table.weight.numel() for table in tables[: 1 if tied else 2] if table is not None]
    rows = len(tables[0].weight)
    yield Saving(step="prune.vocabulary", removes=f"half of {rows:,} tokens", parameters=sum(sizes) // 2)
