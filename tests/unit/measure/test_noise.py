from __future__ import annotations

import numpy as np

from compress.measure.noise import Usage, machine_noise, unsteady


def usage(total=0.0, busy=0.0, stolen=0.0, megahertz=None):
    return Usage(total=total, busy=busy, stolen=stolen, megahertz=megahertz)


def test_a_quiet_machine_has_nothing_to_tell():
    assert machine_noise(usage(), usage(total=100, busy=52), ours=50) == []


def test_other_programs_are_told():
    (sentence,) = machine_noise(usage(), usage(total=100, busy=80), ours=50)
    assert "other programs took 30%" in sentence


def test_stolen_time_is_told():
    (sentence,) = machine_noise(usage(), usage(total=100, busy=50, stolen=4), ours=50)
    assert "hypervisor gave 4%" in sentence


def test_a_falling_clock_is_told():
    sentences = machine_noise(usage(megahertz=3000), usage(total=9, megahertz=2000), ours=0)
    assert sentences == ["the processor's clock fell from 3000 to 2000 MHz while speed was measured"]


def test_unsteady_rounds_are_told_by_name():
    steady, shaky = np.full(9, 1.0), np.array([1.0, 1.5] * 5)
    (sentence,) = unsteady({("torch", "latency"): steady, ("int8", "latency"): shaky})
    assert sentence.startswith("int8 at latency varied by 21%")


def test_counters_move_forward():
    first = Usage.now()
    sum(range(200_000))
    second = Usage.now()
    assert second.total >= first.total > 0
    assert 0 < first.busy < first.total
