from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compress.report.charts import Limit, Pair, Row, Stack, bars, intervals, pairs, stacked, strips
from compress.report.figures import percentile
from compress.report.plot import NARROW, WIDE, log_scale, nice_step, scale, svg
from compress.report.scatter import Axes, Dot, place_labels, scatter

finite = st.floats(-1e9, 1e9, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(st.lists(finite, min_size=1, max_size=8), st.booleans(), st.integers(2, 8))
def test_a_scale_covers_its_values_with_few_round_ticks(values, zero, count):
    found = scale(values, 0.0, 100.0, zero=zero, count=count)
    slack = 1e-6 * (found.high - found.low)
    assert found.low - slack <= min(values)
    assert found.high + slack >= max(values)
    assert not zero or found.low <= 0 <= found.high
    assert 2 <= len(found.ticks) <= 3 * count + 2
    assert all(b > a for a, b in zip(found.ticks, found.ticks[1:], strict=False))


@given(st.floats(1e-6, 1e9), st.integers(2, 10))
def test_steps_are_one_two_or_five_times_a_power_of_ten(span, count):
    digits = f"{nice_step(span, count):.6e}"
    assert digits[:8] in ("1.000000", "2.000000", "5.000000")


def tree(drawing):
    return ElementTree.fromstring(svg(drawing, "x-wide", "title", "description"))


def read_axis(root):
    """Pixels to values, from the labels of the axis alone, as a reader does."""
    bottom = max(float(t.get("y")) for t in root.iter("text") if t.get("class") == "tick")
    ticks = [t for t in root.iter("text") if t.get("class") == "tick" and float(t.get("y")) == bottom]
    pixels = [float(t.get("x")) for t in ticks]
    labels = [float(t.text.replace(",", "").replace("\u2212", "-")) for t in ticks]
    slope, offset = np.polyfit(pixels, labels, 1)
    return lambda pixel: slope * float(pixel) + offset, abs(slope)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@given(values=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=5))
def test_a_bar_ends_at_its_value(width, values):
    rows = [Row(str(n), "c", value, "t") for n, value in enumerate(values)]
    root = tree(bars(rows, title="unit", width=width))
    value_at, pixel = read_axis(root)
    ends = [value_at(float(r.get("x")) + float(r.get("width"))) for r in root.iter("rect")]
    assert ends == pytest.approx(values, abs=1.5 * pixel + 1e-9)


@given(st.floats(-50, 50), st.floats(0.01, 20), st.floats(0.01, 20), st.floats(-60, 60))
def test_error_bars_reach_to_the_ends_of_the_interval(value, below, above, limit):
    assume(abs(limit) > 1e-3)
    row = Row("row", "c", value, "text", value - below, value + above)
    root = tree(intervals([row], title="unit", width=WIDE, limits=[Limit(limit, "limit")]))
    value_at, pixel = read_axis(root)
    whiskers = [line for line in root.iter("line") if "whisker" in line.get("class")]
    ends = sorted(value_at(line.get(name)) for line in whiskers for name in ("x1", "x2"))
    assert ends[0] == pytest.approx(value - below, abs=pixel)
    assert ends[-1] == pytest.approx(value + above, abs=pixel)
    dots = [value_at(circle.get("cx")) for circle in root.iter("circle")]
    assert dots == [pytest.approx(value, abs=pixel)]
    (line,) = [line for line in root.iter("line") if line.get("class") == "limit"]
    assert value_at(line.get("x1")) == pytest.approx(limit, abs=pixel)


@given(st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=6))
def test_a_log_scale_covers_its_values_and_has_ticks_inside(values):
    found = log_scale(values, 0.0, 100.0)
    assert all(0 <= found(value) <= 100 for value in values)
    assert 2 <= len(found.ticks) <= 12
    assert all(-1e-6 <= found(tick) <= 100 + 1e-6 for tick in found.ticks)
    assert found(10.0) - found(1.0) == pytest.approx(found(100.0) - found(10.0))


def test_ratios_are_placed_by_their_logarithm():
    rows = [Row("a", "c", 2.0, "t", 1.0, 4.0), Row("b", "c", 20.0, "t", 10.0, 40.0)]
    root = tree(intervals(rows, title="x", width=WIDE, limits=[Limit(1.0, "no gain", "zero")], log=True))
    first, second = (float(circle.get("cx")) for circle in root.iter("circle"))
    ticks = {t.text: float(t.get("x")) for t in root.iter("text") if t.get("class") == "tick"}
    assert second - first == pytest.approx(ticks["10"] - ticks["1"], abs=0.3)


def test_segments_follow_each_other():
    stack = Stack("before", (("a", "p-0", 10.0), ("b", "p-1", 30.0)), "40 MB")
    root = tree(stacked([stack], title="MB", width=WIDE))
    value_at, pixel = read_axis(root)
    starts = [value_at(rect.get("x")) for rect in root.iter("rect")]
    assert starts == pytest.approx([0.0, 10.0], abs=pixel)


def test_every_sample_is_a_dot_in_the_order_taken():
    samples = (3.0, 1.0, 2.0, 9.5)
    root = tree(strips([Row("row", "c", 2.5, samples=samples)], title="ms", width=WIDE))
    value_at, pixel = read_axis(root)
    (path,) = root.iter("path")
    points = re.findall(r"M([\d.]+) ([\d.]+)h0", path.get("d"))
    assert [value_at(x) for x, _ in points] == pytest.approx(samples, abs=pixel)
    heights = [float(y) for _, y in points]
    assert heights == sorted(heights)


def test_a_scatter_puts_its_dots_where_they_belong():
    dots = [Dot(1, "one", 0.1, 2.0, 1.9, 2.2, kept=True), Dot(2, "two", 1.3, 0.5)]
    axes = Axes(x="lost", y="gain", limit=0.82, limit_label="over budget", reference=1.0)
    root = tree(scatter(dots, axes, width=WIDE))
    value_at, pixel = read_axis(root)
    circles = {c.get("class"): value_at(c.get("cx")) for c in root.iter("circle")}
    assert circles == {"kept": pytest.approx(0.1, abs=pixel), "left-out": pytest.approx(1.3, abs=pixel)}
    assert [title.text for title in root.iter("title")] == ["title", "two", "one"]


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=40), st.sampled_from([5, 50, 95]))
def test_percentiles_are_numpys(values, percent):
    assert percentile(values, percent) == pytest.approx(np.percentile(values, percent))


@given(st.lists(st.tuples(st.integers(10, 290), st.integers(10, 190)), min_size=1, max_size=5, unique=True))
def test_numbers_stand_beside_their_points_and_inside_the_frame(points):
    labels = place_labels([(float(x), float(y)) for x, y in points], (0.0, 0.0, 300.0, 200.0))
    for (x, y), label in zip(points, labels, strict=True):
        assert np.hypot(label[0] - x, label[1] - y) <= 18
        assert 0 <= label[0] <= 300
        assert 0 <= label[1] <= 200


def test_numbers_of_points_that_touch_do_not_overlap():
    labels = place_labels([(100.0, 100.0), (104.0, 100.0), (100.0, 103.0)], (0.0, 0.0, 300.0, 200.0))
    gaps = [np.hypot(a[0] - b[0], a[1] - b[1]) for n, a in enumerate(labels) for b in labels[:n]]
    assert min(gaps) >= 13


@pytest.mark.parametrize("width", [WIDE, NARROW])
@settings(deadline=None)
@given(values=st.lists(st.tuples(st.floats(0.01, 1e4), st.floats(0.01, 1e4)), min_size=1, max_size=5))
def test_bars_of_a_pair_end_at_their_values(width, values):
    rows = [Pair(str(n), before, after, ("t", "t")) for n, (before, after) in enumerate(values)]
    root = tree(pairs(rows, title="unit", width=width))
    value_at, pixel = read_axis(root)
    ends = [value_at(float(r.get("x")) + float(r.get("width"))) for r in root.iter("rect")]
    assert ends == pytest.approx([end for pair in values for end in pair], abs=1.5 * pixel + 1e-9)


def test_a_side_that_is_not_known_has_no_bar():
    root = tree(pairs([Pair("a", 1.0, None, ("1", "0"))], title="unit", width=WIDE))
    assert len(list(root.iter("rect"))) == 1
