"""Depth: leave out the blocks that change the model's answers least.

Importance is measured on calibration data: the distance of the answers without a block from the original's
own answers (KL divergence of logits, cosine of pooled hidden states). The block whose loss matters least is
removed and the others are measured again, since two blocks that can each be spared may not both be. For deep
models the angular distance between a block's input and output (Gromov et al. 2024, arXiv:2403.17887;
ShortGPT, Men et al. 2024, arXiv:2403.03853) chooses which blocks are measured at all.

What hurts least at once need not be what heals best. Where `heal.distill` follows, `choose: spread`
starts from evenly spread blocks, as Sanh et al. did (2019, arXiv:1910.01108: every other one of BERT's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, model_validator

from compress.core.artifact import ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.data.bounded import within
from compress.model.inputs import inputs_of
from compress.model.load import load_whole
from compress.model.parts import running_part
from compress.model.structure.depth import only_blocks, refuse_uneven, through
from compress.model.structure.fitting import depth_config
from compress.model.structure.outputs import answer, distance, ready, tensors_of
from compress.model.structure.prefix import Prefixes, plain, runs_from_within
from compress.model.structure.rewrite import save_changed
from compress.model.structure.stack import find_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.core.artifact import Artifact, Context, Feeds
    from compress.model.structure.stack import Stack

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT


class Config(Frozen):
    """Which blocks stay (`keep`), or how many go (`count`, or `ratio` of them): exactly one of the three."""

    keep: tuple[int, ...] | None = None
    """Blocks by number, from 0."""
    count: int | None = Field(default=None, gt=0)
    ratio: float | None = Field(default=None, gt=0, lt=1)
    choose: Literal["measured", "spread"] = "measured"
    """`spread` keeps the first, the last and blocks at even distances between, without measuring."""
    shortlist: int = Field(default=8, gt=0)
    """How many blocks, those of the smallest angular distance, are measured for each that is removed."""
    items: int = Field(default=64, gt=0)
    """Calibration items."""
    tokens: int = Field(default=4096, gt=0)
    """Of texts, so many tokens of them at most: each choice of blocks runs them once."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Config:
        if sum(value is not None for value in (self.keep, self.count, self.ratio)) != 1:
            raise ValueError("give one of keep, count and ratio")
        return self


def learns(config: Config) -> bool:
    """Whether calibration rows choose the blocks."""
    return calibrated(config)


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    return config.keep is None and config.choose != "spread"


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Remove blocks and write the checkpoint; its configuration tells the new depth.

    Raises:
        CompressError: the model has no such blocks, they share their weights, or there is no data.
        InternalError: the checkpoint reads back otherwise.
    """
    whole = load_whole(artifact.folder, artifact.task)
    module = ready(running_part(whole, artifact.task))
    stack = find_stack(module)
    depth = len(stack)
    sample = inputs_of(module, artifact.folder).sample(batch=1, length=8, seed=0)
    refuse_uneven(module, stack, lambda: answer(module, sample))
    keep = _kept(config, depth) or _chosen(module, stack, _removals(config, depth), config, context)
    whole_config = whole.config
    with only_blocks(module, keep):
        written = depth_config(whole, whole_config, keep=keep, depth=depth)
        save_changed(whole, written, artifact.folder, context.folder, task=artifact.task)
    context.progress.note(f"kept blocks {', '.join(str(index) for index in keep)} of {depth}")
    return artifact.at(context.folder)


def remaining(config: Config, depth: int) -> dict[str, float]:
    """The share of weights that stays, by component."""
    kept = _kept(config, depth) or range(depth - _removals(config, depth))
    return dict.fromkeys(("attention", "ffn", "norm"), len(kept) / depth)


def _kept(config: Config, depth: int) -> list[int] | None:
    if config.keep is None:
        return None
    keep = sorted(set(config.keep))
    if not keep or keep[0] < 0 or keep[-1] >= depth:
        message = f"keep: {list(config.keep)} of a model with blocks 0 to {depth - 1}"
        raise CompressError("layers-invalid", message, hint="count blocks from 0")
    return keep


def _removals(config: Config, depth: int) -> int:
    count = config.count if config.count is not None else round((config.ratio or 0) * depth)
    if not 0 < count < depth:
        message = f"{count} of {depth} blocks cannot be removed"
        raise CompressError("layers-invalid", message, hint=f"remove 1 to {depth - 1}")
    return count


def _chosen(module: torch.nn.Module, stack: Stack, count: int, config: Config, context: Context) -> list[int]:
    """The blocks that stay after `count` were removed."""
    if config.choose == "spread":
        return spread(len(stack), len(stack) - count)
    return _greedy(module, stack, count, config, context)


def spread(depth: int, kept: int) -> list[int]:
    """`kept` of `depth` blocks at even distances, the first and the last among them (the first alone
    where one stays).
    """
    return [round(index * (depth - 1) / max(kept - 1, 1)) for index in range(kept)]


def _greedy(module: torch.nn.Module, stack: Stack, count: int, config: Config, context: Context) -> list[int]:
    """Without the block that matters least, `count` times over."""
    feeds = list(within(context.calibration.feeds(items=config.items), config.tokens))
    if not feeds:
        raise CompressError("data-empty", "no calibration data", hint="name some with --data")
    angles = angular_distances(module, stack, feeds)
    free = _movable(stack)
    if len(free) < count:
        message = f"only {len(free)} of {len(stack)} blocks can be removed"
        raise CompressError("layers-invalid", message, hint="remove fewer")
    keep = list(range(len(stack)))
    with context.progress.track("Measuring blocks", count) as advance:
        for _ in range(count):
            candidates = sorted(free & set(keep), key=lambda index: angles[index])[: config.shortlist]
            losses = losses_without(module, keep, candidates, feeds)
            keep.remove(candidates[min(range(len(losses)), key=lambda at: losses[at])])
            advance()
    return keep


def _movable(stack: Stack) -> set[int]:
    """Blocks with the same tensors as the last one. Others hold what cannot move to another place: T5's
    first block has the position bias of all.
    """
    names = [list(block.state_dict()) for block in stack.blocks]
    return {index for index, one in enumerate(names) if one == names[-1]}


def losses_without(
    module: torch.nn.Module, keep: Sequence[int], candidates: Sequence[int], feeds: Sequence[Feeds]
) -> list[float]:
    """For each candidate the mean distance of the answers of the blocks `keep` without it from those of all
    blocks. What comes before a candidate runs once for all of them, where the model allows it.
    """
    totals, items = [0.0] * len(candidates), 0
    depth, within = len(find_stack(module)), None
    for batch in tensors_of(feeds):
        expected, mask = answer(module, batch), batch.get("attention_mask")
        items += len(expected.values)
        within = runs_from_within(module, depth, batch) if within is None else within
        prefixes = Prefixes(module, keep, candidates if within else [], batch)
        for index, one in enumerate(candidates):
            found = prefixes.without(one) if within else plain(module, keep, one, batch)
            totals[index] += distance(expected, found, mask).sum().item()
    return [total / items for total in totals]


def angular_distances(module: torch.nn.Module, stack: Stack, feeds: Sequence[Feeds]) -> list[float]:
    """Of each block, the angle between its input and output over pi (0 to 1), averaged over positions."""
    sums = [0.0] * len(stack)
    counts = [0] * len(stack)

    def hook(index: int) -> Any:
        def see(_: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            before, after = through(args, kwargs, output)
            cosine = torch.nn.functional.cosine_similarity(before, after, dim=-1).clamp(-1, 1)
            sums[index] += (cosine.arccos() / torch.pi).sum().item()
            counts[index] += cosine.numel()

        return see

    handles = [
        block.register_forward_hook(hook(index), with_kwargs=True) for index, block in enumerate(stack.blocks)
    ]
    for batch in tensors_of(feeds):
        answer(module, batch)
    for handle in handles:
        handle.remove()
    return [total / max(count, 1) for total, count in zip(sums, counts, strict=True)]
