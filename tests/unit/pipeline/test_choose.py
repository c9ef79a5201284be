import pytest

from compress.core.report import Ratio
from compress.pipeline.choose import Limits, Tried, choose


def tried(name, *, speed=2.0, size=20, drop=0.0, error=None):
    ratio = Ratio(value=speed, low=speed, high=speed)
    return Tried(name=name, size_bytes=size, drop=drop, speedup={"throughput": ratio}, error=error)


def pick(*candidates, **limits):
    return choose(candidates, Limits(**{"drop": 0.01, **limits}), headline="throughput")


def test_the_fastest_that_keeps_its_accuracy_wins():
    choice = pick(tried("slow", speed=1.5), tried("fast", speed=2.5), tried("wrong", speed=4, drop=0.02))
    assert choice.winner == "fast"
    assert "slower" in choice.why["slow"]
    assert "loses 0.0200" in choice.why["wrong"]


def test_among_equals_the_smallest_wins():
    assert pick(tried("large", speed=2.5, size=23), tried("small", speed=2.4, size=17)).winner == "small"


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
