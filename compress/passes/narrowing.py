"""What `prune.ffn` and `prune.heads` share: choose units, remove them, refit what reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field, model_validator

from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.layers import LayerDtype
from compress.data.bounded import in_parts, within
from compress.model.arithmetic import has_bfloat16
from compress.model.inputs import inputs_of
from compress.model.load import load_whole
from compress.model.parts import running_part
from compress.model.structure.fitting import ffn_config, heads_config
from compress.model.structure.observed import observe
from compress.model.structure.outputs import answer, ready
from compress.model.structure.rewrite import save_changed
from compress.model.structure.shrink import masked, narrowed, set_matrix, shrink
from compress.model.structure.sites import Kind, find_sites, sites_of, with_tables
from compress.model.structure.stack import find_stack, matrix_of
from compress.numerics.elimination import Removals, costs_of, eliminate
from compress.numerics.least_squares import damped, refit
from compress.passes.widths import by_ratio, divided, time_budget

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.artifact import Advance, Artifact, Context
    from compress.model.structure.observed import Observed
    from compress.model.structure.outputs import Tensors
    from compress.model.structure.sites import Site
    from compress.passes.widths import TimeBudget

DAMPING = 0.01
"""Share of the mean diagonal that is added to a Gram matrix, as GPTQ does (Frantar et al. 2022)."""

_ROUNDS = 64
"""Rounds in which units are removed: the more, the better the choice and the longer it takes."""
_POSITIONS = 2048
"""Of texts, that a model reads at once."""
_EXACT = 1e-3
"""Largest difference that rounding makes, as a share of the largest answer."""


class Width(Frozen):
    """What a step asks for: how much of the width goes, as a share of the units or of what they take."""

    kind: ClassVar[Kind]
    ratio: float | None = Field(default=None, gt=0, lt=1)
    """Share of the units that is removed."""
    latency: float | None = Field(default=None, gt=0, lt=1)
    """Instead of `ratio`: share of the time of the blocks' attention and feed-forward layers that is left, by
    layers timed on this host (the target has to be this host).
    """
    dtype: LayerDtype = "int8"
    """With `latency`: what products will be computed in when the recipe is done."""
    uniform: bool = True
    """The same number from each layer, for which most configurations have a word. Otherwise as many weights
    go from the layers where it does least, and `widths.json` tells the widths.
    """
    multiple: int = Field(default=1, gt=0)
    """Numbers of units are multiples of this."""
    reconstruct: bool = True
    """Refit the matrix that reads the units by least squares."""
    items: int = Field(default=256, gt=0)
    """Calibration items."""
    tokens: int = Field(default=65536, gt=0)
    """Of texts, so many tokens of them at most."""

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.ratio is None) == (self.latency is None):
            raise ValueError("give one of ratio, latency")
        return self

    def remaining(self) -> float:
        """The share of the weights that stays; with `latency` taken for that share."""
        return 1 - self.ratio if self.ratio is not None else self.latency or 1.0


def narrow(artifact: Artifact, wanted: Width, context: Context) -> Artifact:
    """Remove units of one kind and write the checkpoint; `widths.json` says what its configuration cannot.

    Raises:
        CompressError: the model has no such units, or there is no calibration data.
        InternalError: the checkpoint reads back otherwise.
    """
    whole = load_whole(artifact.folder, artifact.task)
    module = ready(running_part(whole, artifact.task))
    sample = inputs_of(module, artifact.folder).sample(batch=1, length=8, seed=0)
    sites = sites_of(module, wanted.kind, lambda: answer(module, sample, grad=True))
    sites, shared = with_tables(module, sites) if wanted.kind == "heads" else (sites, False)
    refuse_entangled(module, sites, sample)
    feeds = within(context.calibration.feeds(items=wanted.items), wanted.tokens)
    parts = list(in_parts(feeds, _POSITIONS))
    names = [site.units.consumer for site in sites]
    # Units of SmolLM2-135M chosen in bfloat16 (on 600 texts) leave 3.036 nats a token, those chosen in fp32
    # (on 256) 3.040. Other kinds of model are small beside it, and were not compared.
    half = artifact.task == "text-generation" and has_bfloat16()
    observed = observe(module, names, parts, seed=context.seed, progress=context.progress, half=half)
    budget = (
        None if wanted.latency is None else _budget(module, sites, wanted, context, artifact.task, sample)
    )
    with context.progress.track("Choosing units", len(sites)) as advance:
        kept = _chosen(module, sites, observed, wanted, budget=budget, shared=shared, advance=advance)
    if budget is not None:
        _tell(budget, wanted, kept, context)
    for site, units in zip(sites, kept, strict=True):
        cut(module, site, units, observed[site.units.consumer] if wanted.reconstruct else None)
    config = _config(whole, sites, kept, wanted)
    save_changed(whole, config, artifact.folder, context.folder, task=artifact.task)
    return artifact.at(context.folder)


def refuse_entangled(module: torch.nn.Module, sites: Sequence[Site], sample: Tensors) -> None:
    """Refuse units whose removal is not the same as zeros in their place, on one small input.

    Raises:
        CompressError: the model does not run without the last unit of each site, or answers otherwise.
    """
    cuts = [(site, np.arange(len(site.units) - 1)) for site in sites]
    with masked(module, cuts):
        expected = answer(module, sample).values
    try:
        with narrowed(module, cuts):
            found = answer(module, sample).values
        apart = (found - expected).abs().max().item() / max(expected.abs().max().item(), 1e-9)
        reason = "" if apart < _EXACT else f"its answers are {apart:.2g} of their range apart"
    except (RuntimeError, ValueError, IndexError) as error:  # whatever its operators say of the shapes
        reason = " ".join(str(error).split())[:160]
    if reason:
        what = f"{type(module).__name__} does not run with fewer units in {sites[0].units.consumer}"
        raise CompressError("structure-unsupported", f"{what}: {reason}", hint="leave this step out")


def _chosen(
    module: torch.nn.Module,
    sites: Sequence[Site],
    observed: Mapping[str, Observed],
    wanted: Width,
    *,
    budget: TimeBudget | None,
    shared: bool,
    advance: Advance,
) -> list[np.ndarray]:
    """The units that each site keeps; the same ones where sites share what belongs to a unit."""
    totals = [len(site.units) for site in sites]
    if budget is None:
        left = [by_ratio(total, wanted.ratio or 0.0, wanted.multiple) for total in totals]
    else:
        left = budget.uniform()
    if shared:
        costs = sum(costs_of(*_problem(module, site, observed[site.units.consumer])) for site in sites)
        return [np.sort(np.argsort(-costs, kind="stable")[: left[0]])] * len(sites)
    most = left if wanted.uniform else [min(wanted.multiple, total) for total in totals]
    removals = []
    for site, total, least in zip(sites, totals, most, strict=True):
        removals.append(removals_of(module, site, observed[site.units.consumer], total - least))
        advance()
    if not wanted.uniform:
        left = budget.divided(removals) if budget else divided(module, sites, removals, left, wanted.multiple)
    counts = zip(removals, totals, left, strict=True)
    return [one.kept(total, total - remaining) for one, total, remaining in counts]


def _budget(
    module: torch.nn.Module,
    sites: Sequence[Site],
    wanted: Width,
    context: Context,
    task: str,
    sample: Tensors,
) -> TimeBudget:
    """The time that is left to the sites, with that of the blocks' other layers as it is."""
    if context.layers is None or wanted.latency is None:
        message = "there is nothing here that layers could be timed with"
        raise CompressError("target-elsewhere", message, hint="give `ratio` instead of `latency`")
    found = find_sites(find_stack(module), lambda: answer(module, sample, grad=True))
    others = [site for site in found if site.kind != wanted.kind]
    with context.progress.track("Timing layers", 1) as advance:
        budget = time_budget(
            module,
            sites,
            others,
            context.layers,
            share=wanted.latency,
            multiple=wanted.multiple,
            dtype=wanted.dtype,
            one_token=task == "text-generation",
        )
        advance()
    return budget


def _tell(budget: TimeBudget, wanted: Width, kept: Sequence[np.ndarray], context: Context) -> None:
    widths = [len(units) for units in kept]
    spread = str(widths[0]) if len(set(widths)) == 1 else f"{min(widths)} to {max(widths)}"
    context.progress.note(
        f"{spread} units a layer; by layers timed here in {wanted.dtype} at some widths, the blocks should "
        f"take {budget.share(widths):.0%} of their time (estimated)"
    )


def _config(whole: torch.nn.Module, sites: Sequence[Site], kept: Sequence[np.ndarray], wanted: Width) -> Any:
    """The configuration that says the new number of units, where it is one number and one can."""
    before, after = {len(site.units) for site in sites}, {len(units) for units in kept}
    if len(before) > 1 or len(after) > 1:
        return whole.config
    fit = ffn_config if wanted.kind == "ffn" else heads_config
    return fit(whole, whole.config, old=before.pop(), new=after.pop())


def removals_of(module: torch.nn.Module, site: Site, seen: Observed, count: int) -> Removals:
    """The order in which a site's units go: by what their loss does to the model's answers."""
    weight, gram, columns = _problem(module, site, seen)
    return eliminate(weight, gram, columns, removals=count, at_once=max(1, count // _ROUNDS))


def _problem(
    module: torch.nn.Module, site: Site, seen: Observed
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is eliminated from: a matrix (d, n), a Gram matrix (n, n) and the columns of units.

    The error of the layer's outputs is weighed with their sensitivity G = A A^T, as in K-FAC (Martens and
    Grosse 2015, arXiv:1503.05671): tr(dW H dW^T G) = ||A^T dW H^1/2||^2.
    """
    linear = module.get_submodule(site.units.consumer)
    gram = damped(seen.moments.about(bias=linear.bias is not None), DAMPING)
    weight = _root(seen.sensitivity).T @ matrix_of(linear).numpy().astype(np.float64)
    return weight, gram, site.units.columns


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(values.clip(min=0)))


def cut(module: torch.nn.Module, site: Site, kept: np.ndarray, seen: Observed | None) -> None:
    """Keep some units of a site; with what was observed, refit the matrix that reads them."""
    linear: Any = module.get_submodule(site.units.consumer)
    weight = matrix_of(linear).numpy().astype(np.float64)
    bias = None if linear.bias is None else linear.bias.detach().numpy().astype(np.float64)
    shrink(module, site, kept)
    if seen is None:
        return
    columns = np.sort(site.units.columns[kept].ravel())
    fitted, offset = refit(weight, bias, seen.moments, columns, damping=DAMPING)
    set_matrix(linear, torch.from_numpy(fitted.astype(np.float32)))
    if offset is not None:
        linear.bias = torch.nn.Parameter(torch.from_numpy(offset.astype(np.float32)), requires_grad=False)
