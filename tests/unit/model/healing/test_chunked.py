"""The divergence of products against the same of whole logits, which autograd differentiates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from compress.model.healing.chunked import Product, chunked_divergence
from compress.model.healing.losses import divergence


def random(seed, *shape, scale=1.0):
    return torch.from_numpy(scale * np.random.default_rng(seed).normal(size=shape)).float()


def products(*, bias):
    ours = Product(
        features=random(0, 37, 8).requires_grad_(),
        weight=random(1, 50, 8).requires_grad_(),
        bias=random(2, 50).requires_grad_() if bias else None,
    )
    theirs = Product(features=random(3, 37, 12), weight=random(4, 50, 12), bias=random(5, 50))
    return ours, theirs


def logits(product):
    return torch.nn.functional.linear(product.features, product.weight, product.bias)


def leaves(product):
    return [one for one in (product.features, product.weight, product.bias) if one is not None]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("chunk", [None, 1, 10, 37])
def test_loss_and_gradients_are_those_of_whole_logits(bias, chunk):
    ours, theirs = products(bias=bias)
    whole = divergence(logits(ours), logits(theirs), temperature=1.0)
    expected = torch.autograd.grad(3 * whole, leaves(ours))
    found = chunked_divergence(ours, theirs, chunk=chunk)
    gradients = torch.autograd.grad(3 * found, leaves(ours))
    assert found.item() == pytest.approx(whole.item(), rel=1e-5)
    for one, other in zip(gradients, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-5 * other.abs().max().item())


def test_the_gradient_is_the_slope_of_the_loss():
    ours, theirs = products(bias=False)
    (gradient,) = torch.autograd.grad(chunked_divergence(ours, theirs, chunk=8), [ours.weight])
    direction = random(6, 50, 8)
    with torch.no_grad():
        ends = [
            chunked_divergence(
                Product(features=ours.features, weight=ours.weight + step * direction, bias=None), theirs
            )
            for step in (-1e-2, 1e-2)
        ]
    slope = (ends[1] - ends[0]).item() / 2e-2
    assert (gradient * direction).sum().item() == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize("chunk", [None, 10])
def test_probabilities_of_lost_tokens_go_where_they_are_spelled(chunk):
    ours, theirs = products(bias=True)
    into = torch.tensor([3, 0, 3, 29])
    ours = Product(features=ours.features, weight=ours.weight[:46], bias=ours.bias[:46])
    p = logits(theirs).softmax(-1)
    together = torch.stack([p[:, at] + p[:, 46:][:, into == at].sum(1) for at in range(46)], dim=1)
    whole = divergence(logits(ours), together.log(), temperature=1.0)
    expected = torch.autograd.grad(whole, leaves(ours))
    found = chunked_divergence(ours, replace(theirs, into=into), chunk=chunk)
    assert found.item() == pytest.approx(whole.item(), rel=1e-5)
    for one, other in zip(torch.autograd.grad(found, leaves(ours)), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


def test_sixteen_bits_are_near():
    ours, theirs = products(bias=True)
    whole, coarse = (chunked_divergence(ours, theirs, dtype=kind) for kind in (torch.float32, torch.bfloat16))
    assert coarse.item() == pytest.approx(whole.item(), rel=0.03)
    first, second = (torch.autograd.grad(one, [ours.weight])[0] for one in (whole, coarse))
    assert second.dtype == torch.float32
    assert (first - second).norm() < 0.03 * first.norm()


def test_nothing_is_learned_where_nothing_is_asked():
    ours, theirs = products(bias=False)
    with torch.no_grad():
        assert not chunked_divergence(ours, theirs).requires_grad
    assert chunked_divergence(theirs, theirs).item() == pytest.approx(0, abs=1e-6)
