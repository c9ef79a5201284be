"""What pruning a part of a model would save, from its structure alone: for `inspect`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.operators import SavingLine
from compress.model.inputs import inputs_of, on_own_inputs
from compress.model.structure.hollow import hollow_module
from compress.model.structure.outputs import answer
from compress.model.structure.sites import find_sites, unit_size
from compress.model.structure.stack import find_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch

    from compress.core.operators import Operators
    from compress.model.structure.sites import Site

QUARTER = 0.25
_BLOCK = ("attention", "ffn", "norm")
"""What blocks are made of; the norms around them are a small part."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A step, what it would remove (`384 of 1536 features in each of 6 blocks`), and how many weights go.

    `parts` are the components whose work shrinks, by `fraction`.
    """

    step: str
    removes: str
    parameters: int
    parts: tuple[str, ...]
    fraction: float

    @property
    def size_bytes(self) -> int:
        """Bytes of those weights in fp32, as graphs are before they are quantized."""
        return 4 * self.parameters

    def latency_share(self, shares: Mapping[str, float]) -> float:
        """The share of a call that would be saved, if the work of each component shrank with its weights: an
        estimate from the measured `shares` of components.
        """
        return self.fraction * sum(shares.get(part, 0.0) for part in self.parts)


def savings(folder: Path, task: str) -> list[Saving]:
    """What each pruning step would save, the most first. No weight is read.

    Raises:
        CompressError: the structure of the model is not understood.
    """
    module = hollow_module(folder, task)
    stack = find_stack(module)
    sample = inputs_of(module, folder).sample(batch=1, length=8, seed=0)
    with on_own_inputs(module, sample):
        sites = find_sites(stack, lambda: answer(module, sample, grad=True))
    found = [*_depth(stack.blocks), *_widths(module, sites), *_vocabulary(module)]
    return sorted(found, key=lambda saving: -saving.parameters)


def saving_lines(
    folder: Path, task: str, *, parameters: int, operators: Operators | None
) -> list[SavingLine]:
    """The same as lines of a report, of `parameters` weights in all.

    Raises:
        CompressError: the structure of the model is not understood.
    """
    shares = None if operators is None else _shares(operators)
    return [
        SavingLine(
            step=one.step,
            removes=one.removes,
            parameters=one.parameters,
            size_bytes=one.size_bytes,
            share=one.parameters / max(parameters, 1),
            latency_share=None if shares is None else one.latency_share(shares),
        )
        for one in savings(folder, task)
    ]


def _shares(operators: Operators) -> dict[str, float]:
    """Of a call of the fp32 graph, by component."""
    total = sum(line.before_ms for line in operators.by_component) or 1.0
    return {line.name: line.before_ms / total for line in operators.by_component}


def _depth(blocks: torch.nn.ModuleList) -> Iterator[Saving]:
    if len(blocks) > 1:
        total = sum(parameter.numel() for parameter in blocks.parameters())
        yield Saving(
            step="prune.layers",
            removes=f"1 of {len(blocks)} blocks",
            parameters=total // len(blocks),
            parts=_BLOCK,
            fraction=1 / len(blocks),
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
        part = "ffn" if kind == "ffn" else "attention"
        yield Saving(step=f"prune.{kind}", removes=removes, parameters=gone, parts=(part,), fraction=QUARTER)


def _vocabulary(module: Any) -> Iterator[Saving]:
    """Half of the tokens, of the embedding and of a head that is not tied to it."""
    if getattr(module, "main_input_name", "") != "input_ids":
        return
    tables = [module.get_input_embeddings(), module.get_output_embeddings()]
    tied = getattr(module.config, "tie_word_embeddings", False)
    sizes = [table.weight.numel() for table in tables[: 1 if tied else 2] if table is not None]
    rows = len(tables[0].weight)
    reads = ("head",) if tables[1] is not None else ()
    yield Saving(
        step="prune.vocabulary",
        removes=f"half of {rows:,} tokens",
        parameters=sum(sizes) // 2,
        parts=reads,  # a lookup takes as long in a smaller table
        fraction=0.5,
    )
