"""What the gate decides, and in 10,000 simulated runs how often it decides wrongly."""

from __future__ import annotations

import numpy as np
import pytest

from compress.core.errors import CompressError, ExitCode
from compress.core.report import Accuracy, Figures, Latency, Ratio, Speedup
from compress.core.units import parse_max_drop
from compress.pipeline.gate import MIN_ITEMS, Budgets, Findings, exit_code, items_needed, judge, judge_drop
from compress.stats.estimate import Estimate, drop_bound, upper_bound
from compress.stats.paired import paired_upper_bound
from compress.stats.rank import spearman

RUNS = 10_000
TOO_OFTEN = 0.054
"""5% and two standard errors of 10,000 runs."""
ONE_PERCENT = parse_max_drop("1%")


def accuracy(drop, bound, *, items=1000, baseline=0.9, metric="accuracy"):
    return Accuracy(
        metric=metric,
        kind="task",
        items=items,
        baseline=baseline,
        result=baseline - drop,
        drop=drop,
        drop_upper_95=bound,
    )


def verdicts(drops, bounds, baselines, *, items, metric="accuracy"):
    """The shares of passes and of fails among simulated runs."""
    found = [
        judge_drop(ONE_PERCENT, accuracy(*one, items=items, baseline=two, metric=metric)).verdict
        for *one, two in zip(drops.tolist(), bounds.tolist(), baselines.tolist(), strict=True)
    ]
    return found.count("pass") / len(found), found.count("fail") / len(found)


def paired_runs(random, *, items, baseline, drop, changed):
    """Runs of two classifiers that answer a share of `changed` items differently."""
    lost, gained = (changed + drop) / 2, (changed - drop) / 2
    chances = [baseline - lost, lost, gained, 1 - baseline - gained]
    both, only_first, only_second, _ = random.multinomial(items, chances, size=RUNS).T
    bounds = paired_upper_bound(only_first, only_second, items)
    return (only_first - only_second) / items, bounds, (both + only_first) / items


@pytest.mark.parametrize("items", [200, 500, 1000, 2000])
@pytest.mark.parametrize(("baseline", "changed"), [(0.7, 0.03), (0.85, 0.02), (0.95, 0.0125)])
def test_accuracy_at_the_margin_rarely_passes(items, baseline, changed):
    random = np.random.default_rng(items)
    runs = paired_runs(random, items=items, baseline=baseline, drop=0.01 * baseline, changed=changed)
    assert verdicts(*runs, items=items)[0] <= TOO_OFTEN


@pytest.mark.parametrize(("baseline", "changed"), [(0.7, 0.03), (0.85, 0.02), (0.95, 0.01)])
def test_accuracy_that_is_kept_passes_where_items_suffice_and_rarely_fails(baseline, changed):
    items = round(
        changed * ((1.645 + 1.282) / (0.01 * baseline)) ** 2 * 1.35
    )  # 90% power, and more as it is discrete
    random = np.random.default_rng(0)
    runs = paired_runs(random, items=items, baseline=baseline, drop=0.0, changed=changed)
    passed, failed = verdicts(*runs, items=items)
    assert passed >= 0.9
    assert failed <= 0.01


@pytest.mark.parametrize("items", [10, 60, 200, 500])
def test_accuracy_that_is_kept_rarely_fails_however_few_the_items(items):
    runs = paired_runs(np.random.default_rng(1), items=items, baseline=0.85, drop=0.0, changed=0.03)
    assert verdicts(*runs, items=items)[1] <= TOO_OFTEN


def test_accuracy_that_is_lost_fails():
    runs = paired_runs(np.random.default_rng(2), items=1000, baseline=0.85, drop=0.05, changed=0.09)
    assert verdicts(*runs, items=1000)[1] >= 0.95


def spearman_runs(random, *, items, runs, after):
    """Gold scores and the similarities of two models that are .997 alike; the first reaches .85."""
    pearson = 2 * np.sin(np.pi / 6 * np.array([0.85, after]))
    covariance = np.array([[1, pearson[0], pearson[1]], [pearson[0], 1, 0.997], [pearson[1], 0.997, 1]])
    root = np.linalg.cholesky(covariance)
    found = []
    for _ in range(runs):
        gold, first, second = root @ random.normal(size=(3, items))
        before, later = spearman(first, gold), spearman(second, gold)
        found.append((before.value - later.value, drop_bound(before, later), before.value))
    return np.array(found).T


def test_spearman_at_the_margin_rarely_passes():
    runs = spearman_runs(np.random.default_rng(0), items=300, runs=RUNS, after=0.85 * 0.99)
    assert 0.02 <= verdicts(*runs, items=300, metric="spearman")[0] <= TOO_OFTEN


def test_spearman_that_is_kept_passes():
    runs = spearman_runs(np.random.default_rng(1), items=600, runs=1000, after=0.85)
    assert verdicts(*runs, items=600, metric="spearman")[0] >= 0.9


def perplexity_runs(random, *, items, increase):
    """Windows of 20 to 250 tokens; how their likelihoods differ has heavy tails."""
    tokens = random.integers(20, 250, size=(RUNS, items))
    noise = random.standard_t(5, size=(RUNS, items)) * np.sqrt(tokens) * 0.1
    nats = np.log1p(increase) * tokens + noise
    means = nats.sum(axis=1) / tokens.sum(axis=1)
    influence = (nats - means[:, None] * tokens) / tokens.mean(axis=1, keepdims=True)
    return np.expm1(means), np.expm1(upper_bound(means, influence)), np.full(RUNS, 20.0)


@pytest.mark.parametrize("items", [60, 250])
def test_perplexity_at_the_margin_rarely_passes(items):
    runs = perplexity_runs(np.random.default_rng(items), items=items, increase=0.01)
    assert verdicts(*runs, items=items, metric="perplexity")[0] <= TOO_OFTEN


def test_perplexity_that_is_kept_passes():
    runs = perplexity_runs(np.random.default_rng(0), items=150, increase=0.0)
    assert verdicts(*runs, items=150, metric="perplexity")[0] >= 0.9


@pytest.mark.parametrize("items", [60, 200, 700])
def test_mean_fidelity_at_the_margin_rarely_passes(items):
    lost = np.random.default_rng(items).gamma(1.5, 0.01 / 1.5, size=(RUNS, items))
    means = lost.mean(axis=1)
    bounds = upper_bound(means, lost - means[:, None])
    assert verdicts(means, bounds, np.ones(RUNS), items=items, metric="cosine")[0] <= TOO_OFTEN


@pytest.mark.parametrize(
    ("drop", "bound", "items", "verdict"),
    [
        (0.001, 0.008, 1000, "pass"),
        (-0.01, 0.009, 1000, "pass"),
        (0.001, 0.011, 1000, "inconclusive"),
        (0.012, 0.020, 1000, "fail"),
        (0.012, 0.030, 1000, "inconclusive"),
        (0.0, 0.001, MIN_ITEMS - 1, "inconclusive"),
        (0.5, 0.7, MIN_ITEMS - 1, "fail"),
        (float("nan"), float("nan"), 1000, "inconclusive"),
    ],
)
def test_verdicts_on_accuracy(drop, bound, items, verdict):
    line = judge_drop(ONE_PERCENT, accuracy(drop, bound, items=items))
    assert line.verdict == verdict
    assert line.limit == "1%"


def test_fidelity_of_few_items_without_a_change_is_no_pass():
    nothing = Estimate(1.0, np.zeros(60))
    bound = drop_bound(nothing, nothing, unit=1.0)
    assert judge_drop(ONE_PERCENT, accuracy(0.0, bound, items=60, baseline=1.0)).verdict == "inconclusive"


def findings(**changes):
    figures = Figures(size_bytes=18_000_000, latency_ms=Latency(p50=4.0, p95=6.0), peak_rss_bytes=200 * 2**20)
    ratios = Speedup(
        vs_torch=Ratio(value=3.0, low=2.9, high=3.1),
        vs_onnxruntime_fp32=Ratio(value=2.2, low=2.1, high=2.3),
    )
    values = {"result": figures, "speedup": ratios, "accuracy": accuracy(0.001, 0.005)}
    return Findings(**(values | changes))


@pytest.mark.parametrize(
    ("budgets", "verdict"),
    [
        ({"min_speedup": 2.1}, "pass"),
        ({"min_speedup": 2.15}, "inconclusive"),
        ({"min_speedup": 2.4}, "fail"),
        ({"max_size": 18_000_000}, "pass"),
        ({"max_size": 17_999_999}, "fail"),
        ({"max_latency_ms": 6.0}, "pass"),
        ({"max_latency_ms": 5.9}, "fail"),
        ({"max_memory": 200 * 2**20}, "pass"),
        ({"max_memory": 100 * 2**20}, "fail"),
        ({"max_drop": ONE_PERCENT}, "pass"),
        ({"max_drop": ONE_PERCENT, "min_speedup": 2.15}, "inconclusive"),
        ({"max_drop": ONE_PERCENT, "min_speedup": 2.15, "max_size": 1}, "fail"),
        ({}, "pass"),
    ],
)
def test_each_budget_and_the_worst_of_all(budgets, verdict):
    gate = judge(Budgets(**budgets), findings())
    assert gate.verdict == verdict
    assert len(gate.budgets) == len(budgets)


def test_limits_are_written_as_people_write_them():
    budgets = Budgets(min_speedup=2.0, max_size=18_000_000, max_latency_ms=5.5, max_memory=2**30)
    assert [line.limit for line in judge(budgets, findings()).budgets] == ["2x", "18MB", "5.5ms", "1GiB"]
    assert judge(Budgets(max_size=1234), findings()).budgets[0].limit == "1234B"


def test_a_budget_on_what_was_not_measured_is_refused():
    with pytest.raises(CompressError) as caught:
        judge(Budgets(max_latency_ms=1.0), findings(result=Figures(size_bytes=1)))
    assert caught.value.code == "budget-unmeasured"


@pytest.mark.parametrize(
    ("budgets", "user_set", "code"),
    [
        ({"max_size": 1}, set(), ExitCode.BUDGET_MISSED),
        ({"min_speedup": 2.15}, {"min_speedup"}, ExitCode.INCONCLUSIVE),
        ({"min_speedup": 2.15}, {"max_drop"}, ExitCode.OK),
        ({"min_speedup": 2.15, "max_size": 1}, {"min_speedup"}, ExitCode.BUDGET_MISSED),
        ({"min_speedup": 2.0}, {"min_speedup"}, ExitCode.OK),
    ],
)
def test_exit_codes(budgets, user_set, code):
    assert exit_code(judge(Budgets(**budgets), findings()), user_set=user_set) is code


def test_how_many_items_would_do():
    undecided = accuracy(0.001, 0.017, items=400)
    needed = items_needed(undecided, ONE_PERCENT)
    assert needed == pytest.approx(400 * (0.016 / 0.008) ** 2, rel=0.01)
    assert items_needed(accuracy(0.02, 0.05), ONE_PERCENT) is None
