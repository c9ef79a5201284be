from __future__ import annotations

from compress.core.operators import TimeLine
from compress.measure.profiler import NodeTime
from compress.pipeline.operators import time_lines


def times(*rows):
    return [NodeTime(name=f"{n}", type=t, component=c, seconds=s) for n, (t, c, s) in enumerate(rows)]


def test_both_sides_stand_beside_each_other_the_longest_first():
    before = times(("MatMul", "ffn", 0.004), ("MatMul", "attention", 0.002), ("Gelu", "ffn", 0.001))
    after = times(("MatMulInteger", "ffn", 0.009), ("Gelu", "ffn", 0.001))
    assert time_lines(before, after, "type") == (
        TimeLine(name="MatMulInteger", before_ms=0, after_ms=9, before_count=0, after_count=1),
        TimeLine(name="MatMul", before_ms=6, after_ms=0, before_count=2, after_count=0),
        TimeLine(name="Gelu", before_ms=1, after_ms=1, before_count=1, after_count=1),
    )
    assert [(line.name, line.after_count) for line in time_lines(before, after, "component")] == [
        ("ffn", 2), ("attention", 0),
    ]  # fmt: skip
