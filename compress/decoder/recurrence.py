"""Recurrences of linear attention in graphs that torch's exporter traces: one node for all tokens.

transformers computes them in chunks whose number depends on the text, and token by token afterwards. While a
module is traced, the function that does so is replaced by the node LinearAttention, which keeps

    S_t = exp(g_t) S_(t-1) + k_t v_t^T,  o_t = S_t^T q_t

for Mamba 2 (Dao and Gu 2024, arXiv:2405.21060: q is C, k is B, v is x dt, g is A dt, a number for each head)
and, with what the state has for k_t taken from v_t first, for gated delta rules (Yang et al. 2024,
arXiv:2412.06464). What is around it (convolutions, gates, norms) is traced as it stands.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATE_SPACE, _DELTA = "mamba2_chunk_scan", "torch_chunk_gated_delta_rule"
"""transformers' names, in the file of each architecture."""


def is_known(module: torch.nn.Module) -> bool:
    """Whether recurrences of this module, if it has some, are computed by functions that are known here."""
    return any(hasattr(home, name) for home in _homes(module) for name in (_STATE_SPACE, _DELTA))


def keeps_values_first(module: torch.nn.Module) -> bool:
    """Whether states of this module are (heads, values, keys), as Mamba 2's are."""
    return any(hasattr(home, _STATE_SPACE) for home in _homes(module))


@contextmanager
def one_node_each(module: torch.nn.Module) -> Iterator[None]:
    """Meanwhile recurrences of the module leave one node each in a graph that is traced."""
    replacements = {_STATE_SPACE: state_space, _DELTA: delta_rule}
    given = [
        (home, name, vars(home)[name])
        for home in _homes(module)
        for name in replacements
        if hasattr(home, name)
    ]
    for home, name, _ in given:
        setattr(home, name, replacements[name])
    try:
        yield
    finally:
        for home, name, function in given:
            setattr(home, name, function)


def _homes(module: torch.nn.Module) -> list[Any]:
    """The Python modules that the parts of a module are from."""
    return [sys.modules[name] for name in {type(part).__module__ for part in module.modules()}]


def state_space(
    hidden_states: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    chunk_size: int,
    *,
    initial_states: torch.Tensor,
    D: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    dt_softplus: bool = False,
    dt_limit: tuple[float, float] = (0.0, float("inf")),
    **more: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of x (batch, T, heads, width), steps (batch, T, heads), A (heads), B and C (batch, T, groups, state)
    and the state before (batch, heads, width, state): what is read (batch, T, heads, width), and the state
    after.
    """
    del chunk_size, more
    heads, width = hidden_states.shape[2:]
    dt = dt if dt_bias is None else dt + dt_bias
    dt = (softplus(dt) if dt_softplus else dt).clamp(*dt_limit)
    keys, queries = (one.repeat_interleave(heads // one.shape[2], dim=2).flatten(2) for one in (B, C))
    read, state = _linear_attention(
        [queries, keys, (hidden_states * dt[..., None]).flatten(2), initial_states.transpose(2, 3), A * dt],
        rule="gated",
        heads=heads,
        scale=1.0,
    )
    read = read.unflatten(2, (heads, width))
    skipped = 0 if D is None else hidden_states * D[:, None]
    return read + skipped, state.transpose(2, 3)


def delta_rule(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    g: torch.Tensor,
    beta: torch.Tensor,
    initial_state: torch.Tensor,
    use_qk_l2norm_in_kernel: bool = False,
    **more: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of queries and keys (batch, T, groups, width of keys), values (batch, T, heads, width of values),
    logarithms of decays and rates (batch, T, heads) and the state before (batch, heads, keys, values): what
    is read (batch, T, heads, width of values), and the state after.
    """
    del more
    heads, width = value.shape[2:]
    if use_qk_l2norm_in_kernel:
        query, key = (one * torch.rsqrt(one.square().sum(-1, keepdim=True) + _LEAST) for one in (query, key))
    queries, keys = (one.repeat_interleave(heads // one.shape[2], dim=2).flatten(2) for one in (query, key))
    read, state = _linear_attention(
        [queries, keys, value.flatten(2), initial_state, g, beta],
        rule="gated_delta",
        heads=heads,
        scale=query.shape[-1] ** -0.5,
    )
    return read.unflatten(2, (heads, width)), state


_LEAST = 1e-6
"""Added to squares of lengths, by transformers' functions as by the kernels that they stand for."""


def _linear_attention(
    inputs: list[torch.Tensor], *, rule: str, heads: int, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The node for queries, keys and values (batch, T, heads * width), the state, decays and rates."""
    values, state = inputs[2:4]
    read, after = torch.onnx.ops.symbolic_multi_out(
        "com.microsoft::LinearAttention",
        inputs,
        {"q_num_heads": heads, "kv_num_heads": heads, "update_rule": rule, "scale": scale},
        dtypes=[values.dtype, state.dtype],
        shapes=[values.shape, state.shape],
        version=1,
    )
    return read, after
