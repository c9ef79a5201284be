from __future__ import annotations

import pytest

from compress.core.errors import CompressError
from compress.core.profile import ModelKind, load_profile, load_recipe, profile_names
from compress.core.units import parse_max_drop

SHIPPED = (
    "apple-m", "cpu", "cpu-arm64", "cpu-avx2", "cpu-avx512-vnni", "cuda", "jetson-orin", "laptop",
    "raspberry-pi-5",
)  # fmt: skip
ELSEWHERE = [name for name in SHIPPED if name != "cpu"]


def test_the_promised_targets_ship():
    assert set(SHIPPED) <= set(profile_names())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_profile_is_whole(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.description
    parse_max_drop(profile.budgets.max_drop)
    assert {"latency", "throughput"} <= set(profile.workloads)
    assert set(profile.candidates) == set(ModelKind)
    for recipes in profile.candidates.values():
        assert recipes
        for recipe in recipes:
            load_recipe(recipe)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_machines_have_figures(name):
    profile = load_profile(name)
    assert profile.bandwidth_gb_s
    assert profile.watts
    assert profile.price_per_hour
    assert profile.memory_gib
    assert profile.int8_saturates is not None
    assert profile.peak_gop_s["fp32"] < profile.peak_gop_s["int8"]
    assert (profile.cores is None) == (profile.device != "cpu")


def test_only_the_target_without_vnni_saturates():
    assert [name for name in ELSEWHERE if load_profile(name).int8_saturates] == ["cpu-avx2"]


def test_the_host_leaves_everything_open():
    cpu = load_profile("cpu")
    assert (cpu.architecture, cpu.cores, cpu.int8_saturates, cpu.isa) == (None, None, None, ())


def test_a_mistyped_name_gets_a_hint():
    with pytest.raises(CompressError) as caught:
        load_profile("raspbery-pi-5")
    assert (caught.value.code, caught.value.hint) == ("profile-unknown", "did you mean 'raspberry-pi-5'?")
