from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.numerics.choices import STEPS, Options, choose


@st.composite
def problems(draw):
    layers = []
    for _ in range(draw(st.integers(1, 4))):
        count = draw(st.integers(1, 4))
        whole = st.lists(st.integers(0, 20), min_size=count, max_size=count)
        layers.append(Options(np.array(draw(whole), float), np.array(draw(whole), float)))
    return layers, draw(st.integers(0, 50))


def best(layers, target):
    """By trying all."""
    found = None
    for options in product(*(range(len(one.saves)) for one in layers)):
        saved = sum(one.saves[k] for one, k in zip(layers, options, strict=True))
        error = sum(one.error[k] for one, k in zip(layers, options, strict=True))
        if saved >= target and (found is None or error < found):
            found = error
    return found


@settings(deadline=None)
@given(problems())
def test_it_is_the_best_of_all_plans(problem):
    layers, target = problem
    chosen = choose(layers, target)
    expected = best(layers, target)
    assert (chosen is None) == (expected is None)
    if chosen is None:
        return
    saved = sum(one.saves[k] for one, k in zip(layers, chosen, strict=True))
    error = sum(one.error[k] for one, k in zip(layers, chosen, strict=True))
    assert saved >= target - 1e-9
    # Rounding gives at most a step a layer away: it is as good as the best plan for so much more.
    slack = best(layers, target * (1 + len(layers) / STEPS))
    assert error <= (slack if slack is not None else np.inf)
    assert error >= expected


def test_all_that_there_is_can_be_saved():
    thirds = [Options(np.array([0.0, 1 / 3]), np.array([0.0, 1.0])) for _ in range(3)]
    assert choose(thirds, 1.0) == [1, 1, 1]
    assert choose(thirds, 1.01) is None


def test_an_option_that_saves_no_time_is_not_taken():
    """Widths between two that the kernel likes cost error and save nothing."""
    layer = Options(np.array([0.0, 0.0, 2.0]), np.array([0.0, 0.5, 0.9]))
    assert choose([layer, layer], 2.0) in ([0, 2], [2, 0])
    assert choose([layer, layer], 0.0) == [0, 0]


@pytest.mark.parametrize("count", [100])
def test_a_deep_model_is_quick(count):
    rng = np.random.default_rng(0)
    layers = [Options(np.arange(40.0), np.sort(rng.random(40)) * (1 + i)) for i in range(count)]
    chosen = choose(layers, 0.3 * 39 * count)
    assert sum(layers[i].saves[k] for i, k in enumerate(chosen)) >= 0.3 * 39 * count
