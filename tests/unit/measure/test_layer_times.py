from __future__ import annotations

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.core.layers import LayerShape
from compress.core.profile import load_profile
from compress.graph.small import layer_graph
from compress.measure.layer_times import POINTS, MeasuredLayers, in_turn

FFN = LayerShape(kind="ffn", inside=8, outside=8, produced=(1,), consumed=1)


class Timer:
    """Says that a graph takes as many seconds as its last matrix has rows; lists what it was asked."""

    def __init__(self, *, bump=0.0):
        self.bump, self.asked = bump, []

    def __call__(self, models, x, *, threads):
        self.asked.append((len(models), x.shape, threads))
        rows = [model.graph.initializer[-1].dims[0] for model in models]
        return [row + self.bump * (place == 1) for place, row in enumerate(rows)]


def layers(folder, timer, profile="cpu"):
    return MeasuredLayers(profile=load_profile(profile), folder=folder, timer=timer)


def seconds(table, units, **settings):
    return table.seconds(FFN, units, dtype="fp32", one_token=settings.get("one_token", False))


def test_between_widths_that_were_timed_a_line_is_drawn(tmp_path):
    timer = Timer()
    assert seconds(layers(tmp_path, timer), [64, 40, 7, 1]) == pytest.approx([64, 40, 7, 1])
    assert [count for count, _, _ in timer.asked] == [POINTS]


def test_a_layer_is_timed_once_for_each_host_and_shape(tmp_path):
    timer = Timer()
    first = seconds(layers(tmp_path, timer), [64, 3])
    assert seconds(layers(tmp_path, timer), [64, 3]) == first
    assert len(timer.asked) == 1
    seconds(layers(tmp_path, timer), [64], one_token=True)
    assert [shape[:2] for _, shape, _ in timer.asked] == [(32, 128), (1, 1)]
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_more_units_never_take_less_time(tmp_path):
    found = seconds(layers(tmp_path, Timer(bump=1000.0)), range(1, 65))
    assert np.all(np.diff(found) >= 0)


def test_a_target_that_is_not_this_host_is_refused(tmp_path):
    with pytest.raises(CompressError, match="cannot be timed for raspberry-pi-5 here") as caught:
        seconds(layers(tmp_path, Timer(), "raspberry-pi-5"), [8])
    assert caught.value.code == "target-elsewhere"


def test_the_batch_of_wide_layers_is_cut(tmp_path):
    timer = Timer()
    wide = LayerShape(kind="ffn", inside=4096, outside=4096, produced=(1, 1), consumed=1)
    layers(tmp_path, timer).seconds(wide, [64], dtype="fp32", one_token=False)
    ((_, shape, _),) = timer.asked
    assert shape == (32, 128, 4096)
    layers(tmp_path, timer).seconds(wide, [1024], dtype="fp32", one_token=False)
    assert timer.asked[-1][1] == (2, 128, 4096)


def test_graphs_are_really_timed():
    models = [layer_graph(FFN, units, "int8") for units in (1, 16)]
    found = in_turn(models, np.ones((1, 4, 8), np.float32), threads=1)
    assert len(found) == 2
    assert all(one > 0 for one in found)
