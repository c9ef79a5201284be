"""The choice foresees the gate, and what the gate lets through is as honest as one candidate alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from compress.core.report import Accuracy, Ratio
from compress.core.units import parse_max_drop
from compress.pipeline.choose import Limits, Tried, choose
from compress.pipeline.forecast import forecast
from compress.pipeline.gate import judge_drop
from compress.pipeline.settle import settle
from compress.stats.estimate import upper_bound

LIMIT = 0.01
BUDGET = parse_max_drop("1pt")
CHOICE, TEST = 300, 900


RUNS = 800
SPEED = {"bold": 4.0, "middle": 3.0, "safe": 2.0}


def judged(changes):
    """What a candidate reaches in each run (runs, n) whose items' scores it lowers by so much."""
    drops = changes.mean(axis=1)
    bounds = upper_bound(drops, changes - drops[:, None])
    return [
        Accuracy(
            metric="simulated",
            kind="task",
            items=changes.shape[1],
            baseline=1.0,
            result=1.0 - drop,
            drop=drop,
            drop_upper_95=bound,
        )
        for drop, bound in zip(drops.tolist(), bounds.tolist(), strict=True)
    ]


def simulated(rng, truth, items, runs, spread=0.06):
    """Scores by candidate; losses are skewed to the right, and items are hard for all candidates alike."""
    shared = rng.standard_normal((runs, items))
    own = {name: rng.exponential(size=(runs, items)) - 1 for name in truth}
    return {name: judged(mean + spread * (0.6 * shared + 0.8 * own[name])) for name, mean in truth.items()}


def published(found, tested):
    """What one run publishes, and what one that goes by the means would."""
    tried = [
        Tried(
            name=name,
            size_bytes=1,
            drop=score.drop,
            forecast=forecast(score, share=CHOICE / TEST),
            speedup={"t": Ratio(value=SPEED[name], low=SPEED[name], high=SPEED[name])},
        )
        for name, score in found.items()
    ]
    choice = choose(tried, Limits(drop=LIMIT), headline="t")
    by_mean = [name for name, score in found.items() if score.drop <= LIMIT]
    naive = max(by_mean, key=SPEED.__getitem__) if by_mean else None
    order = [name for name in (choice.fallback, choice.winner) if name]
    chosen = settle(order, tested, BUDGET) if order else None
    return tuple(
        name if name and judge_drop(BUDGET, tested[name]).verdict == "pass" else None
        for name in (chosen, naive)
    )


def runs(truth, count=RUNS):
    """What runs publish: by this rule, and by the means."""
    rng = np.random.default_rng(0)
    found, tested = simulated(rng, truth, CHOICE, count), simulated(rng, truth, TEST, count)
    both = [
        published(*({name: scores[at] for name, scores in one.items()} for one in (found, tested)))
        for at in range(count)
    ]
    return [[names[at] for names in both] for at in (0, 1)]


@pytest.mark.parametrize(
    "truth",
    [
        {"bold": LIMIT, "middle": LIMIT, "safe": LIMIT},
        {"bold": LIMIT, "middle": LIMIT, "safe": 0.0},
        {"bold": 0.012, "middle": LIMIT, "safe": 0.005},
    ],
)
def test_what_loses_too_much_is_published_in_a_twentieth_of_runs_at_most(truth):
    names, _ = runs(truth)
    assert np.mean([name is not None and truth[name] >= LIMIT for name in names]) <= 0.054


def test_a_run_ends_well_where_a_safe_candidate_stands_beside_bold_ones():
    names, by_mean = runs({"bold": 0.008, "middle": 0.007, "safe": 0.001}, 500)
    assert np.mean([name is not None for name in names]) > 0.88
    assert np.mean([name is not None for name in by_mean]) < 0.4


def test_a_bold_candidate_that_is_good_enough_is_still_taken():
    names, by_mean = runs({"bold": 0.002, "middle": 0.001, "safe": 0.0}, 500)
    share, before = (np.mean([name == "bold" for name in one]) for one in (names, by_mean))
    assert share > 0.85 * before


def test_the_chance_is_the_share_of_test_parts_that_pass():
    rng = np.random.default_rng(2)
    truth = rng.uniform(-0.01, 0.02, size=(4000, 1))
    choice = judged(truth + 0.08 * rng.standard_normal((4000, CHOICE)))
    test = judged(truth + 0.08 * rng.standard_normal((4000, TEST)))
    chances = np.array([forecast(one, share=CHOICE / TEST).chance(LIMIT) for one in choice])
    passes = np.array([one.drop_upper_95 <= LIMIT for one in test])
    for low in (0.2, 0.4, 0.6, 0.8):
        part = (chances >= low) & (chances < low + 0.2)
        assert passes[part].mean() == pytest.approx(chances[part].mean(), abs=0.07)


def test_the_bound_shrinks_with_the_root_of_the_items():
    score = Accuracy(
        metric="m", kind="task", items=100, baseline=1, result=0.99, drop=0.01, drop_upper_95=0.03
    )
    seen = forecast(score, share=1 / 4)
    assert seen.bound == pytest.approx(0.02)
    assert seen.error == pytest.approx(0.02 / norm.ppf(0.95) * np.sqrt(1.25))
    still = forecast(score.model_copy(update={"drop_upper_95": 0.01}), share=1.0)
    assert still.chance(0.02) == 1.0
    assert still.chance(0.005) == 0.0


def accuracies(**bounds):
    return {
        name: Accuracy(
            metric="m", kind="task", items=900, baseline=1, result=1, drop=bound / 2, drop_upper_95=bound
        )
        for name, bound in bounds.items()
    }


@pytest.mark.parametrize(
    ("bounds", "published"),
    [
        ({"safe": 0.005, "bold": 0.009}, "bold"),
        ({"safe": 0.005, "bold": 0.011}, "safe"),
        ({"safe": 0.02, "bold": 0.009}, "safe"),
        ({"safe": 0.02, "bold": 0.03}, "safe"),
    ],
)
def test_the_preferred_is_published_only_after_the_surer_one_passed(bounds, published):
    assert settle(["safe", "bold"], accuracies(**bounds), BUDGET) == published
