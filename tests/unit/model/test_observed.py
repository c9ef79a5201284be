"""What is seen of a dense layer, beside sums over all of its inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.core.artifact import Silent
from compress.model.structure.observed import observe


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = (torch.nn.Linear(8, 8) for _ in range(3))
        self.requires_grad_(False)

    def forward(self, values, attention_mask, return_dict):
        hidden = self.first(values).relu()
        return {"logits": self.head(self.second(hidden))}


@pytest.fixture
def feeds():
    random = np.random.default_rng(0)
    mask = np.ones((4, 16), dtype=np.int64)
    mask[1:, 10:] = 0
    return [
        {"values": random.normal(size=(4, 16, 8)).astype(np.float32), "attention_mask": mask}
        for _ in range(20)
    ]


def test_moments_are_sums_over_what_is_not_padding(feeds):
    module = Classifier()
    found = observe(module, ["second"], feeds, progress=Silent())["second"]
    values = np.concatenate([one["values"][one["attention_mask"] > 0] for one in feeds])
    inputs = module.first(torch.from_numpy(values)).relu().numpy().astype(np.float64)
    assert found.moments.rows == len(values)
    np.testing.assert_allclose(found.moments.gram, inputs.T @ inputs, rtol=1e-4)
    np.testing.assert_allclose(found.moments.total, inputs.sum(axis=0), rtol=1e-4)


def test_sensitivity_is_the_fisher_information(feeds):
    """Of p over classes with logits W s, that of s is E[W^T (diag p - p p^T) W]."""
    module = Classifier()
    found = observe(module, ["second"], feeds * 20, progress=Silent())["second"]
    values = np.concatenate([one["values"][one["attention_mask"] > 0] for one in feeds])
    head = module.head.weight.double().numpy()
    logits = module(torch.from_numpy(values)[None], None, return_dict=True)["logits"][0]
    p = logits.double().softmax(dim=-1).numpy()
    inner = np.diag(p.mean(axis=0)) - p.T @ p / len(p)
    expected = head.T @ inner @ head
    assert np.linalg.norm(found.sensitivity - expected) < 0.05 * np.linalg.norm(expected)


def test_products_in_bfloat16_show_much_the_same(feeds):
    whole, half = (
        observe(Classifier(), ["second"], feeds, progress=Silent(), half=half)["second"]
        for half in (False, True)
    )
    for one, other in ((whole.moments.gram, half.moments.gram), (whole.sensitivity, half.sensitivity)):
        assert not np.array_equal(one, other)
        assert np.linalg.norm(one - other) < 0.1 * np.linalg.norm(one)


def test_products_in_bfloat16_are_summed_in_higher_precision(feeds):
    module = Classifier()
    found = observe(module, ["second"], feeds, progress=Silent(), half=True)["second"]
    values = np.concatenate([one["values"][one["attention_mask"] > 0] for one in feeds])
    with torch.autocast("cpu", torch.bfloat16):
        inputs = module.first(torch.from_numpy(values)).relu().double().numpy()
    np.testing.assert_allclose(found.moments.gram, inputs.T @ inputs, rtol=1e-4)
