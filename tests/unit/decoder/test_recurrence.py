"""Recurrences that become one node, run by ONNX Runtime, against their formulas by steps and transformers."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn.functional import softplus
from transformers.models.granitemoehybrid import modeling_granitemoehybrid as granite
from transformers.models.qwen3_next import modeling_qwen3_next as qwen

from compress.decoder import recurrence

BATCH, LENGTH, HEADS, GROUPS, WIDTH, STATE = 2, 37, 4, 2, 6, 10
LIMITS = (0.05, 1.5)


class Called(torch.nn.Module):
    """A function of named tensors, for the exporter."""

    def __init__(self, function, names):
        super().__init__()
        self.function, self.names = function, names

    def forward(self, *tensors):
        return self.function(**dict(zip(self.names, tensors, strict=True)))


def run(function, tensors, path):
    """What a graph of the function, traced with another length, gives for tensors by name."""
    along = [tensor.ndim > 2 and "initial" not in name for name, tensor in tensors.items()]
    traced = [
        one[:, :5].contiguous() if long else one for one, long in zip(tensors.values(), along, strict=True)
    ]
    length = {1: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        Called(function, list(tensors)).eval(),
        tuple(traced),
        dynamo=True,
        dynamic_shapes=(tuple(length if long else None for long in along),),
        verbose=False,
    )
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, (one.numpy() for one in tensors.values()), strict=True)))


def agree(found, *expected):
    for others in expected:
        for a, b in zip(found, others, strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-4, atol=1e-4)


def state_space_by_steps(hidden_states, dt, A, B, C, D, dt_bias, initial_states):
    """h_t = exp(A dt) h_(t-1) + dt x_t B_t^T, y_t = h_t C_t + D x_t, for each head (Dao and Gu 2024)."""
    read, after = torch.zeros_like(hidden_states), initial_states.clone()
    steps = softplus(dt + dt_bias).clamp(*LIMITS)
    for text, head, t in np.ndindex(BATCH, HEADS, LENGTH):
        group = head // (HEADS // GROUPS)
        step, x = steps[text, t, head], hidden_states[text, t, head]
        state = torch.exp(A[head] * step) * after[text, head]
        after[text, head] = state + step * torch.outer(x, B[text, t, group])
        read[text, t, head] = after[text, head] @ C[text, t, group] + D[head] * x
    return read, after


def test_state_spaces_go_by_their_formula_and_as_transformers_computes_them(tmp_path):
    torch.manual_seed(0)
    tensors = {
        "hidden_states": torch.randn(BATCH, LENGTH, HEADS, WIDTH),
        "dt": torch.randn(BATCH, LENGTH, HEADS),
        "A": -torch.rand(HEADS) * 4,
        "B": torch.randn(BATCH, LENGTH, GROUPS, STATE),
        "C": torch.randn(BATCH, LENGTH, GROUPS, STATE),
        "D": torch.randn(HEADS),
        "dt_bias": torch.randn(HEADS),
        "initial_states": torch.randn(BATCH, HEADS, WIDTH, STATE),
    }
    settings = {"chunk_size": 16, "dt_softplus": True, "dt_limit": LIMITS, "return_final_states": True}

    def traced(**named):
        return recurrence.state_space(**named, **settings)

    found = run(traced, tensors, tmp_path / "graph.onnx")
    agree(found, state_space_by_steps(**tensors), granite.mamba2_chunk_scan(**tensors, **settings))


def delta_rule_by_steps(query, key, value, g, beta, initial_state):
    """S_t = exp(g) S + beta k (v - (exp(g) S)^T k)^T, o_t = S_t^T q / sqrt(width of k) (Yang et al. 2024)."""
    read, after = torch.zeros_like(value), initial_state.clone()
    query, key = (one / one.norm(dim=-1, keepdim=True) for one in (query, key))
    for text, head, t in np.ndindex(BATCH, HEADS, LENGTH):
        group = head // (HEADS // GROUPS)
        k, state = key[text, t, group], torch.exp(g[text, t, head]) * after[text, head]
        missing = value[text, t, head] - state.T @ k
        after[text, head] = state + beta[text, t, head] * torch.outer(k, missing)
        read[text, t, head] = after[text, head].T @ query[text, t, group] * STATE**-0.5
    return read, after


def test_delta_rules_go_by_their_formula_and_as_transformers_computes_them(tmp_path):
    torch.manual_seed(0)
    tensors = {
        "query": torch.randn(BATCH, LENGTH, GROUPS, STATE),
        "key": torch.randn(BATCH, LENGTH, GROUPS, STATE),
        "value": torch.randn(BATCH, LENGTH, HEADS, WIDTH),
        "g": -torch.rand(BATCH, LENGTH, HEADS),
        "beta": torch.rand(BATCH, LENGTH, HEADS),
        "initial_state": torch.randn(BATCH, HEADS, STATE, WIDTH),
    }
    settings = {"use_qk_l2norm_in_kernel": True, "output_final_state": True}

    def traced(**named):
        return recurrence.delta_rule(**named, **settings)

    found = run(traced, tensors, tmp_path / "graph.onnx")
    expected = qwen.torch_chunk_gated_delta_rule(**tensors, **settings)
    agree(found, delta_rule_by_steps(**tensors), expected)


def test_functions_are_given_back():
    module = torch.nn.Sequential(granite.GraniteMoeHybridRMSNormGated(8, 4))
    before = granite.mamba2_chunk_scan
    with pytest.raises(RuntimeError, match="tracing failed"), recurrence.one_node_each(module):
        assert granite.mamba2_chunk_scan is recurrence.state_space
        raise RuntimeError("tracing failed")
    assert granite.mamba2_chunk_scan is before
    assert recurrence.keeps_values_first(module)
    assert not recurrence.keeps_values_first(torch.nn.Linear(1, 1))


def test_only_known_recurrences_are_taken():
    assert recurrence.is_known(torch.nn.Sequential(granite.GraniteMoeHybridRMSNormGated(8, 4)))
    assert not recurrence.is_known(torch.nn.Sequential(torch.nn.Linear(1, 1)))
