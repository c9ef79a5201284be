"""Where a transformer can be made narrower: the units of its feed-forward layers and its attention heads."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from compress.core.errors import CompressError
from compress.core.layers import LayerShape
from compress.model.structure.influence import Units, find_units
from compress.model.structure.stack import Stack, find_stack, linears, matrix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

Kind = Literal["ffn", "heads"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Units between dense layers of one block; the names in `units` are dotted names in the module.

    A unit of kind `ffn` is one hidden feature (of both gate and up), of kind `heads` one key-value group
    with all of its queries.
    """

    kind: Kind
    block: int
    units: Units
    tables: tuple[str, ...] = ()
    """Parameters (.., U) with a column for each head: a bias of relative positions."""


def find_sites(stack: Stack, run: Callable[[], Any]) -> list[Site]:
    """All sites of a module's blocks; `run` runs the module on one small input.

    Blocks of the same names and shapes have the same structure, so one of each kind is looked at.

    Raises:
        CompressError: a block has no site at all.
    """
    alike: dict[object, list[int]] = defaultdict(list)
    for index, block in enumerate(stack.blocks):
        alike[_signature(block)].append(index)
    sites = []
    for indices in alike.values():
        found = find_units(stack.blocks[indices[0]], run)
        if not found:
            raise _without(stack, indices[0])
        sites += [_site(stack, index, units) for index in indices for units in found]
    return sorted(sites, key=lambda site: site.block)


_BIAS = re.compile(r"(relative|position)\w*bias")


def with_tables(module: torch.nn.Module, sites: Sequence[Site]) -> tuple[list[Site], bool]:
    """Attention sites with the tables that have a column for each of their heads, and whether sites share
    them: then all have to keep the same heads.
    """
    tables = [
        name
        for name, parameter in module.named_parameters()
        if parameter.ndim == 2 and parameter.shape[1] == len(sites[0].units) and _BIAS.search(name)
    ]
    own = [tuple(name for name in tables if name.startswith(f"{common_name(site)}.")) for site in sites]
    if all(own):
        return [replace(site, tables=names) for site, names in zip(sites, own, strict=True)], False
    return [replace(sites[0], tables=tuple(tables)), *sites[1:]], bool(tables)


def common_name(site: Site) -> str:
    """The name of the smallest module that holds a whole site."""
    common = []
    for parts in zip(*(name.split(".") for name in (site.units.consumer, *site.units.rows)), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)


def sites_of(module: torch.nn.Module, kind: Kind, run: Callable[[], Any]) -> list[Site]:
    """The sites of one kind.

    Raises:
        CompressError: there are none.
    """
    stack = find_stack(module)
    sites = [site for site in find_sites(stack, run) if site.kind == kind]
    if not sites:
        what = {"ffn": "feed-forward units", "heads": "attention heads"}[kind]
        message = f"found no {what} that can be removed one by one in {type(module).__name__}.{stack.path}"
        raise CompressError("structure-unsupported", message, hint="leave this step out")
    return sites


def unit_size(module: torch.nn.Module, site: Site) -> int:
    """How many weights belong to one unit of a site."""
    size: int = site.units.columns.shape[1] * len(matrix_of(module.get_submodule(site.units.consumer)))
    for name, rows in site.units.rows.items():
        linear = module.get_submodule(name)
        size += rows.shape[1] * (matrix_of(linear).shape[1] + (linear.bias is not None))
    return size


def layer_shape(module: torch.nn.Module, site: Site) -> LayerShape:
    """The sizes of a site's matrices: how long it takes depends on them alone."""
    consumer = matrix_of(module.get_submodule(site.units.consumer))
    producers = [matrix_of(module.get_submodule(name)) for name in site.units.rows]
    return LayerShape(
        kind=site.kind,
        inside=int(producers[0].shape[1]),
        outside=len(consumer),
        produced=tuple(int(rows.shape[1]) for rows in site.units.rows.values()),
        consumed=int(site.units.columns.shape[1]),
    )


def _signature(block: torch.nn.Module) -> object:
    return tuple((name, tuple(value.shape)) for name, value in block.state_dict().items())


def _site(stack: Stack, index: int, units: Units) -> Site:
    prefix = stack.name(index)
    named = Units(
        f"{prefix}.{units.consumer}",
        units.columns,
        {f"{prefix}.{name}": rows for name, rows in units.rows.items()},
    )
    return Site(kind="ffn" if units.columns.shape[1] == 1 else "heads", block=index, units=named)


def _without(stack: Stack, index: int) -> CompressError:
    block = stack.blocks[index]
    dense = ", ".join(linears(block)) or "none"
    message = (
        f"{stack.name(index)} ({type(block).__name__}) has no units that can be removed one by one; "
        f"dense layers: {dense[:200]}"
    )
    return CompressError("structure-unsupported", message, hint="leave this step out")
