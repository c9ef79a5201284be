import pytest

from compress.core.errors import CompressError
from compress.core.units import (
    MaxDrop,
    human_bytes,
    parse_duration_ms,
    parse_max_drop,
    parse_ratio,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("18MB", 18_000_000), ("1.5 GiB", 1_610_612_736), ("20000000B", 20_000_000), ("7kB", 7_000)],
)
def test_sizes_are_decimal_unless_they_say_ib(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["20", "20000000", " 1.5 "])
def test_a_size_without_a_unit_is_refused_and_one_is_asked_for(text):
    with pytest.raises(CompressError, match="has no unit") as error:
        parse_size(text)
    assert f"{text.strip()}MB" in error.value.hint


def test_a_time_without_a_unit_is_refused_and_one_is_asked_for():
    with pytest.raises(CompressError, match="has no unit") as error:
        parse_duration_ms("10")
    assert error.value.hint == "write 10ms or 10s"


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "0", "18 parsecs", "1e9", "18MB!"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(CompressError, match="budget-invalid"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "amount", "form"),
    [("0.5pt", 0.5, "points"), ("1%", 0.01, "share"), ("1.05x", 1.05, "ratio"), ("0pt", 0.0, "points")],
)
def test_a_drop_is_in_points_a_share_or_a_ratio(text, amount, form):
    assert parse_max_drop(text) == MaxDrop(amount, form, text)


@pytest.mark.parametrize("text", ["1", "-1%", "0.9x", "one percent", "1 pts", ""])
def test_what_is_no_drop_is_refused(text):
    with pytest.raises(CompressError, match="budget-invalid"):
        parse_max_drop(text)


def test_ratios_and_times():
    assert parse_ratio("2.4x") == 2.4
    assert parse_ratio(" 2 ") == 2.0
    assert parse_duration_ms("10ms") == 10
    assert parse_duration_ms("0.5s") == 500
    with pytest.raises(CompressError):
        parse_ratio("fast")
    with pytest.raises(CompressError):
        parse_duration_ms("0ms")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (22_900_000, "22.9 MB"), (7_400_000_000, "7.4 GB")]
)
def test_bytes_are_told_with_three_digits(count, text):
    assert human_bytes(count) == text
