from __future__ import annotations

import pytest

from compress.core.errors import CompressError
from compress.core.profile import Profile, load_profile, profile_names
from compress.measure.operators import Operator
from compress.measure.roofline import UNCERTAINTY, estimate, estimated_speedup, seconds_on
from tests.unit.measure.graphs import feeds, products


def target(**changes):
    keys = dict(cores=2, bandwidth_gb_s=50, peak_gop_s={"fp32": 400, "int8": 1600})
    return Profile(name="target", description="", **{**keys, **changes})


def operator(**changes):
    keys = dict(
        name="one",
        type="MatMul",
        dtype="fp32",
        operations=1e9,
        weight_bytes=1e6,
        activation_bytes=1e6,
        elements=1,
    )
    return Operator(**{**keys, **changes})


def test_arithmetic_bounds_large_products():
    once, twice = seconds_on(target(), [operator()]), seconds_on(target(), [operator(operations=2e9)])
    assert twice / once == pytest.approx(2, rel=0.01)
    assert once > 1e9 / 400e9


def test_weights_bound_small_products():
    thin = operator(operations=1e6, weight_bytes=1e9)
    assert seconds_on(target(), [thin]) == pytest.approx(1e9 / 50e9, rel=0.01)


def test_int8_is_faster_only_where_it_has_kernels():
    product = operator(dtype="int8")
    fast, slow = target(), target(formats=("fp32",))
    assert seconds_on(fast, [product]) < seconds_on(slow, [product])
    assert seconds_on(slow, [product]) == seconds_on(slow, [operator()])


def test_other_operators_are_bound_by_what_they_move():
    small, large = (operator(type="Relu", operations=0, activation_bytes=size) for size in (1e7, 1e9))
    one_core = target(cores=1, peak_gop_s={"fp32": 200})
    assert seconds_on(target(), [small]) < seconds_on(one_core, [small])
    assert seconds_on(target(bandwidth_gb_s=5), [large]) == pytest.approx(1e9 / 5e9, rel=0.01)


def test_operators_follow_one_another():
    many = [operator(), operator(type="Relu", operations=0)]
    assert seconds_on(target(), many) == pytest.approx(sum(seconds_on(target(), [one]) for one in many))


def test_a_graph_is_estimated_for_every_profile_that_has_figures(tmp_path):
    graph = products(tmp_path / "m.onnx", count=2, size=64)
    for profile in map(load_profile, profile_names()):
        if profile.bandwidth_gb_s is not None:
            assert 0 < estimate(graph, profile, feeds()) < 1


def test_a_profile_without_figures_is_refused():
    with pytest.raises(CompressError, match=r"no bandwidth_gb_s") as caught:
        seconds_on(Profile(name="bare", description=""), [operator()])
    assert caught.value.code == "profile-incomplete"


def test_an_estimated_ratio_says_how_uncertain_it_is():
    found = estimated_speedup(2.0, 1.0)
    assert (found.low, found.value, found.high) == (2 / (1 + UNCERTAINTY), 2, 2 * (1 + UNCERTAINTY))
