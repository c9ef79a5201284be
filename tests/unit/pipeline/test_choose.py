import pytest

from compress.core.report import Ratio
from compress.pipeline.choose import Limits, Tried, choose
from compress.pipeline.forecast import Forecast


def tried(name, *, speed=2.0, size=20, drop=0.0, error=None, within=0.0, bound=None, spread=0.0):
    ratio = Ratio(value=speed, low=speed - within, high=speed + within)
    forecast = None if bound is None else Forecast(bound=bound, error=spread)
    return Tried(
        name=name,
        size_bytes=size,
        drop=drop,
        speedup={"throughput": ratio},
        error=error,
        forecast=forecast,
    )


def pick(*candidates, **limits):
    return choose(candidates, Limits(**{"drop": 0.01, **limits}), headline="throughput")


def test_the_fastest_that_keeps_its_accuracy_wins():
    choice = pick(tried("slow", speed=1.5), tried("fast", speed=2.5), tried("wrong", speed=4, drop=0.02))
    assert choice.winner == "fast"
    assert "slower" in choice.why["slow"]
    assert "loses 0.0200" in choice.why["wrong"]


def test_among_equals_the_smallest_wins():
    large = tried("large", speed=2.5, size=23, within=0.1)
    choice = pick(large, tried("small", speed=2.4, size=17, within=0.1))
    assert choice.winner == "small"
    assert choice.why["large"] == "as fast as 'small' but larger (23 B)"


def test_speeds_are_equal_only_where_their_intervals_overlap():
    large = tried("large", speed=2.5, size=23, within=0.02)
    choice = pick(large, tried("small", speed=2.4, size=17, within=0.02))
    assert choice.winner == "large"
    assert "slower than 'large'" in choice.why["small"]
    noisy = tried("noisy", speed=2.0, size=9, within=0.6)
    assert pick(large, noisy).winner == "noisy"


def test_a_candidate_counts_by_the_bound_that_the_test_part_will_have():
    near = tried("near", speed=4, drop=0.009, bound=0.012, spread=0.002)
    choice = pick(near, tried("safe", speed=2, drop=0.001, bound=0.004, spread=0.001))
    assert choice.winner == "safe"
    assert "its bound on the test part would be about 0.0120" in choice.why["near"]
    assert choice.fallback is None


def test_a_winner_that_may_fail_gets_a_fallback_that_hardly_can():
    bold = tried("bold", speed=4, drop=0.005, bound=0.009, spread=0.003)
    safe = tried("safe", speed=2, size=10, drop=0.001, bound=0.002, spread=0.002)
    safer = tried("safer", speed=1.5, drop=0.0, bound=0.001, spread=0.001)
    choice = pick(bold, safe, safer)
    assert (choice.winner, choice.fallback) == ("bold", "safe")
    alone = pick(bold)
    assert (alone.winner, alone.fallback) == ("bold", None)


def test_the_lower_end_of_a_speedup_counts_where_one_is_demanded():
    wide = tried("wide", speed=3.1, size=5, within=0.4)
    choice = pick(wide, tried("narrow", speed=3.05, within=0.01), speedup=3.0)
    assert choice.winner == "narrow"
    assert "may be only 2.70x as fast" in choice.why["wide"]
    assert pick(wide, speedup=3.0).winner == "wide"


def test_where_none_is_foreseen_to_pass_the_surest_is_tried():
    choice = pick(
        tried("fast", speed=4, drop=0.009, bound=0.03, spread=0.01),
        tried("sure", speed=2, drop=0.004, bound=0.02, spread=0.01),
    )
    assert choice.winner == "sure"


def test_nothing_wins_when_nothing_is_faster_than_fp32():
    choice = pick(tried("a", speed=0.9), tried("b", error="no matmuls"))
    assert choice.winner is None
    assert "not faster" in choice.why["a"]
    assert choice.why["b"] == "no matmuls"


def test_a_smaller_file_is_enough_when_a_size_was_asked_for():
    assert pick(tried("a", speed=0.9), size_bytes=30, smaller_is_enough=True).winner == "a"


@pytest.mark.parametrize(
    ("limits", "reason"), [({"size_bytes": 10}, "over the limit"), ({"speedup": 3.0}, "under")]
)
def test_budgets_rule_candidates_out(limits, reason):
    choice = pick(tried("a"), **limits)
    assert choice.winner is None
    assert reason in choice.why["a"]


def test_each_candidate_has_a_reason():
    choice = pick(tried("a"), tried("b", speed=1.1), tried("c", drop=1), tried("d", error="x"))
    assert set(choice.why) == {"a", "b", "c", "d"}
    assert all(choice.why.values())


def test_where_size_is_preferred_the_smallest_that_is_faster_than_fp32_wins():
    choice = pick(
        tried("large", speed=4, size=30),
        tried("small", speed=1.2, size=10),
        tried("slow", speed=0.8, size=5),
        prefer="size",
    )
    assert choice.winner == "small"
    assert "larger than 'small'" in choice.why["large"]
    assert "not faster" in choice.why["slow"]
