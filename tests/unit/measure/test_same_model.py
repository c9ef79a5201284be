"""One model timed as four contenders, recorded on a machine that others used to nine tenths, replayed."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np

from compress.measure.latency import MINIMUM_ROUNDS, Timings, ratio
from compress.measure.noise import unsteady

RECORDED = json.loads((Path(__file__).parent / "recorded" / "same_model_four_times.json").read_text())
LAUNCHES = RECORDED["launches"]


def claims(rounds):
    """Of every ordered pair in every stretch of so many rounds: whether one is called faster."""
    for launch in LAUNCHES:
        for start in range(0, len(launch["a"]) - rounds + 1, rounds):
            part = {(name, "x"): times[start : start + rounds] for name, times in launch.items()}
            timings = Timings(rounds=part, load_s={}, peak_rss_bytes={})
            for one, other in permutations(launch, 2):
                yield ratio(timings, baseline=one, contender=other, workload="x").low > 1


def test_the_same_model_is_called_faster_in_at_most_one_of_twenty_trials():
    found = [claim for rounds in (MINIMUM_ROUNDS, 10, 15, 20, 30) for claim in claims(rounds)]
    assert len(found) > 500
    assert sum(found) / len(found) <= 0.05


def test_such_a_machine_is_called_unsteady():
    for launch in LAUNCHES:
        medians = {(name, "x"): np.array([np.median(one) for one in times]) for name, times in launch.items()}
        assert len(unsteady(medians)) == 4
