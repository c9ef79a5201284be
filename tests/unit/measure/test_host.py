from __future__ import annotations

import json

import psutil
import pytest

from compress.core import control_groups
from compress.core.profile import Profile
from compress.measure.host import Host, detect_host, differences, on_host

VNNI = ("avx2", "fma", "avx512f", "avx512_vnni")


def host(**changes):
    facts = dict(cpu="A CPU", architecture="x86_64", isa=VNNI, cores=4, memory_gib=15.6, system="Linux")
    return Host(**{**facts, **changes})


def profile(**keys):
    return Profile(name="target", description="", **keys)


def test_this_host_is_described():
    here = detect_host()
    assert 1 <= here.cores <= (psutil.cpu_count(logical=True) or 1)
    assert 0 < here.memory_gib <= psutil.virtual_memory().total / 2**30 + 0.1
    assert here.architecture
    assert here.cpu in here.describe()
    json.dumps(here.facts())


def test_a_profile_that_asks_for_nothing_is_this_host():
    assert differences(profile(), host()) == []


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"architecture": "aarch64"}, "the target is aarch64, this host x86_64"),
        ({"isa": ("amx_int8",)}, "lacks amx_int8"),
        ({"isa_absent": ("avx512_vnni",)}, "has avx512_vnni"),
        ({"cores": 8}, "8 cores, this host 4"),
        ({"memory_gib": 32}, "32 GiB, this host 15.6"),
        ({"execution_provider": "NoSuchProvider"}, "no NoSuchProvider"),
    ],
)
def test_what_makes_figures_estimates(keys, reason):
    (found,) = differences(profile(**keys), host())
    assert reason in found


def test_more_cores_and_memory_than_the_target_are_no_difference():
    assert differences(profile(cores=2, memory_gib=8, isa=("avx2",)), host()) == []


def test_a_machine_sold_as_16_gib_shows_less():
    assert differences(profile(memory_gib=16), host(memory_gib=15.3)) == []


def test_the_host_fills_in_what_a_profile_leaves_open():
    filled = on_host(profile(cores=2), host())
    assert (filled.cores, filled.architecture, filled.int8_saturates) == (2, "x86_64", False)
    assert filled.memory_gib == 15.6


def test_saturation_follows_from_the_instruction_sets():
    assert host(isa=("avx2",)).int8_saturates
    assert not host().int8_saturates


def test_a_containers_memory_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    assert detect_host().memory_gib == 1.0
