"""Removing units from dense layers in place, and the attributes of attentions that count them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.model.structure.sites import common_name
from compress.model.structure.stack import is_transposed, linears, matrix_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compress.model.structure.sites import Site

COUNTS = frozenset({
    "num_heads", "n_heads", "n_head", "num_attention_heads", "num_q_heads", "num_key_value_heads",
    "num_kv_heads", "all_head_size", "split_size", "inner_dim",
})  # fmt: skip
"""Names of attributes that grow with the number of heads, of an attention and of what is inside of it."""


def shrink(module: torch.nn.Module, site: Site, kept: Sequence[int] | np.ndarray) -> None:
    """Keep the units `kept` of a site: rows of the producers, columns of the consumer, and counts."""
    kept = np.sort(np.asarray(kept))
    total = len(site.units)
    for name, rows in site.units.rows.items():
        keep_rows(module.get_submodule(name), np.sort(rows[kept].ravel()))
    keep_columns(module.get_submodule(site.units.consumer), np.sort(site.units.columns[kept].ravel()))
    for name in site.tables:
        keep_heads(module, name, kept)
    if site.kind == "heads":
        for holder in _holders(module, site):
            for name in counts_of(holder):
                setattr(holder, name, getattr(holder, name) * len(kept) // total)


def keep_rows(linear: torch.nn.Module, rows: np.ndarray) -> None:
    """Keep outputs of a dense layer, in the order given."""
    index = torch.as_tensor(rows)
    set_matrix(linear, matrix_of(linear).detach()[index])
    if linear.bias is not None:
        linear.bias = torch.nn.Parameter(linear.bias.detach()[index], requires_grad=False)


def keep_columns(linear: torch.nn.Module, columns: np.ndarray) -> None:
    """Keep inputs of a dense layer, in the order given."""
    set_matrix(linear, matrix_of(linear).detach()[:, torch.as_tensor(columns)])


def set_matrix(linear: torch.nn.Module, matrix: torch.Tensor) -> None:
    """Give a dense layer another matrix (out, in), perhaps of another shape."""
    stored = matrix.t() if is_transposed(linear) else matrix
    linear.weight = torch.nn.Parameter(stored.contiguous(), requires_grad=False)
    sizes: dict[str, Any] = dict(zip(("out_features", "in_features"), matrix.shape, strict=True))
    if is_transposed(linear):
        sizes = dict(zip(("nf", "nx"), matrix.shape, strict=True))
    for name, size in sizes.items():
        if hasattr(linear, name):
            setattr(linear, name, int(size))


def keep_heads(module: torch.nn.Module, name: str, kept: np.ndarray) -> None:
    """Keep columns of a parameter (.., U) that has one for each head."""
    parent, _, own = name.rpartition(".")
    holder = module.get_submodule(parent)
    value = getattr(holder, own).detach()[:, torch.as_tensor(kept)]
    setattr(holder, own, torch.nn.Parameter(value.contiguous(), requires_grad=False))
    if isinstance(holder, torch.nn.Embedding):
        holder.embedding_dim = len(kept)


def counts_of(module: torch.nn.Module) -> list[str]:
    """The names of a module's own counts of heads."""
    own = vars(module)
    return sorted(name for name in COUNTS & own.keys() if type(own[name]) is int)


def _holders(module: torch.nn.Module, site: Site) -> Iterator[torch.nn.Module]:
    """Modules inside of the smallest one that holds the whole site."""
    top = module.get_submodule(common_name(site))
    dense = set(linears(top).values())
    yield from (child for child in top.modules() if child not in dense)


@contextmanager
def narrowed(module: torch.nn.Module, cuts: Sequence[tuple[Site, np.ndarray]]) -> Iterator[None]:
    """Within, sites of `module` keep some of their units alone."""
    before = [(child, dict(vars(child)), dict(child._parameters)) for child in module.modules()]
    try:
        for site, kept in cuts:
            shrink(module, site, kept)
        yield
    finally:
        for child, attributes, parameters in before:
            child.__dict__.update(attributes)
            child._parameters.clear()
            child._parameters.update(parameters)


@contextmanager
def masked(module: torch.nn.Module, cuts: Sequence[tuple[Site, np.ndarray]]) -> Iterator[None]:
    """Within, what reads the units of a site sees zeros in place of all but some of them."""

    def mask(site: Site, kept: np.ndarray) -> Any:
        columns = torch.as_tensor(np.sort(site.units.columns[kept].ravel()))

        def hook(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            x = torch.zeros_like(args[0])
            x[..., columns] = args[0][..., columns]
            return (x, *args[1:])

        return hook

    with ExitStack() as hooks:
        for site, kept in cuts:
            linear = module.get_submodule(site.units.consumer)
            hooks.callback(linear.register_forward_pre_hook(mask(site, kept)).remove)
        yield
