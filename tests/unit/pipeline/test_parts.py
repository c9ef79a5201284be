"""Parts of the data are as large as the budget needs, and nothing is chosen by what was learned from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from compress.core.errors import ExitCode, Inconclusive
from compress.core.profile import load_recipe
from compress.core.units import parse_max_drop
from compress.data.general import breadth, general_rows
from compress.data.items import load_items, make_items
from compress.data.split import split_in_three
from compress.data.unlabelled import Unlabelled
from compress.measure.catalogue import all_metrics
from compress.pipeline import parts
from compress.pipeline.splits import Splits
from compress.pipeline.steps import heals, learns
from compress.stats.paired import paired_upper_bound

METRICS = {metric.name: metric for metric in all_metrics() if metric.name != "regression"}


@pytest.mark.parametrize(
    ("items", "needed", "expected"),
    [(5749, 1925, (2862, 962)), (718, 200, (262, 256)), (400, 2000, (50, 50)), (8, 200, (1, 1))],
)
def test_the_test_part_is_as_large_as_needed_and_the_rest_is_learned_from(items, needed, expected):
    found = parts.sizes(items, needed=needed, learns=True, given=False)
    assert (found.learn, found.choice) == expected
    test = items - found.learn - found.choice
    assert test == needed or test <= 0.75 * items + 1


def test_without_learning_a_quarter_calibrates_and_chooses():
    assert parts.sizes(718, needed=200, learns=False, given=False) == parts.Sizes(learn=0, choice=179)
    assert parts.sizes(9000, needed=200, learns=False, given=True) == parts.Sizes(learn=0, choice=256)


def test_beside_other_text_more_rows_choose_and_few_are_judged_alone():
    assert parts.sizes(5749, needed=1925, learns=True, given=True) == parts.Sizes(learn=1899, choice=1925)
    assert parts.sizes(1500, needed=1925, learns=True, given=True) == parts.Sizes(learn=0, choice=375)


def test_text_that_was_given_and_the_rest_of_the_data_are_learned_from_together():
    items = pairs(100)
    learn, choice, test = split_in_three(items, learn=30, choice=20, seed=0)
    given = Unlabelled(rows=({"text": "a"}, {"text": "b"}), names=("x",), sources=("x",))
    splits = Splits(
        items=items, calibration=learn, choice=choice, test=test, metric=METRICS["spearman"], unlabelled=given
    )
    texts = [row["text"] for row in splits.calibration_rows("feature-extraction")]
    assert {"a", "b"} < set(texts)
    assert len(texts) > 30
    assert 0 < texts.index("a") < len(texts) / 2 < texts.index("b")
    judged = replace(splits, calibration=choice)
    assert judged.calibration_rows("feature-extraction") == [{"text": "a"}, {"text": "b"}]


def test_half_of_the_budget_is_left_for_the_drop():
    metric = METRICS["spearman"]
    needed = parts.test_items(metric, parse_max_drop("1.5%"))
    assert norm.ppf(0.95) * metric.spread / np.sqrt(needed) == pytest.approx(0.0075, rel=1e-3)


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("budget", ["1%", "0.5pt"])
def test_the_size_is_known_for_every_metric(name, budget):
    assert parts.LEAST_TEST <= parts.test_items(METRICS[name], parse_max_drop(budget)) < 10**6


def test_too_few_items_are_refused_with_how_many_are_needed():
    budget, metric = parse_max_drop("1%"), METRICS["accuracy"]
    needed = parts.least_items(metric, budget)
    assert paired_upper_bound(np.array(0), np.array(0), needed) <= 0.01
    assert paired_upper_bound(np.array(0), np.array(0), int(needed * 0.97)) > 0.01
    parts.refuse_too_few(needed, total=needed * 2, metric=metric, budget=budget)
    with pytest.raises(Inconclusive) as error:
        parts.refuse_too_few(60, total=80, metric=metric, budget=budget)
    assert error.value.exit_code == ExitCode.INCONCLUSIVE
    assert f"{needed:,} test items are needed" in error.value.message
    assert f"give about {-(-needed * 80 // 60):,} items" in error.value.hint


def test_no_metric_passes_on_fewer_than_the_gate_asks_for():
    with pytest.raises(Inconclusive, match="50 test items are needed"):
        parts.refuse_too_few(49, total=60, metric=METRICS["spearman"], budget=parse_max_drop("5%"))


def pairs(count):
    rows = [
        {"text": f"left {i}", "text_pair": f"right {i % (count // 2)}", "label": i / 9} for i in range(count)
    ]
    return make_items(rows, columns={}, source="pairs", labelled=True)


def test_three_parts_share_no_item():
    items = pairs(100)
    learn, choice, test = split_in_three(items, learn=30, choice=20, seed=0)
    assert (len(learn), len(choice), len(test)) == (30, 20, 50)
    assert not set(learn.keys) & set(choice.keys)
    assert not set(test.keys) & (set(learn.keys) | set(choice.keys))
    both, same, _ = split_in_three(items, learn=0, choice=20, seed=0)
    assert both is same


def test_no_text_that_is_judged_is_learned_from():
    items = pairs(100)
    learn, choice, test = split_in_three(items, learn=30, choice=20, seed=0)
    splits = Splits(
        items=items,
        calibration=learn,
        choice=choice,
        test=test,
        metric=METRICS["spearman"],
        general=({"text": "x"},),
    )
    texts = {row["text"] for row in splits.calibration_rows("feature-extraction")}
    judged = {row[name] for part in (choice, test) for row in part.rows for name in ("text", "text_pair")}
    assert texts - {"x"} == {row["text"] for row in learn.rows} | {
        row["text_pair"] for row in learn.rows if row["text_pair"] not in judged
    }
    assert splits.share == 20 / 50


def test_little_and_narrow_text_is_known_and_half_of_the_sample_is_mixed_in():
    rows = [{"text": f"the cat sat on mat {i}"} for i in range(50)]
    found = breadth(rows)
    assert found.words == 300
    assert found.unknown > 0.5
    assert len(found.faults) == 2
    general = general_rows(rows, task="feature-extraction")
    sample = [row["text"] for row in load_items(None, task="feature-extraction").rows]
    chosen = [row["text"] for row in general]
    assert set(chosen) < set(sample)
    assert 0.4 < len(chosen) / len(sample) < 0.6
    assert not breadth([{"text": text} for text in sample * 12]).faults
    assert general_rows([{"text": "a", "text_pair": "b"}], task="text-classification") == []


def test_recipes_that_fit_weights_to_rows_are_known():
    learning = ["gptq-int4", "int8-stored4", "pruned-int8", "narrow-int8", "pruned-int4"]
    assert all(learns(load_recipe(name)) for name in learning)
    assert not any(learns(load_recipe(name)) for name in ["int8", "static", "openvino-int8", "round-int8"])
    assert heals(load_recipe("pruned-int8"))
    assert not heals(load_recipe("gptq-int4"))
