from __future__ import annotations

from itertools import count

import pytest
import torch

from compress.measure.module_times import component_of_module, module_times
from compress.measure.profiler import LEAST, WARM, sums


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.q_proj(x)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = Attention()
        self.mlp = torch.nn.Linear(4, 4)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.mlp(self.mlp(self.attention(x)))


def test_own_times_leave_out_what_runs_inside():
    """A clock that ticks once each time it is read: each stretch between two events is one tick long."""
    ticks = count()
    model = Model()
    found = module_times(model, {"x": torch.ones(1, 4)}, budget_s=0.0, now=lambda: float(next(ticks)))
    times = {one.name: one.seconds for one in found}
    assert times == {"": 4.0, "attention": 2.0, "attention.q_proj": 1.0, "mlp": 2.0}
    assert sums(found, "component") == {"other": 4.0, "attention": 3.0, "ffn": 2.0}
    assert {one.type for one in found} == {"Model", "Attention", "Linear"}
    assert model.calls == WARM + LEAST


def test_no_hook_stays():
    model = Model()
    module_times(model, {"x": torch.ones(1, 4)}, budget_s=0.0)
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in model.modules())


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("encoder.layer.0.attention.self", "attention"),
        ("encoder.layer.0.attention.self.query", "attention"),
        ("encoder.layer.0.intermediate.intermediate_act_fn", "ffn"),
        ("encoder.layer.0.output.LayerNorm", "norm"),
        ("embeddings.word_embeddings", "embedding"),
        ("lm_head", "head"),
        ("encoder.layer.0", "other"),
        ("", "other"),
    ],
)
def test_a_module_belongs_to_what_its_name_or_the_one_around_it_tells(name, component):
    assert component_of_module(name) == component
