"""The test part is looked at once, for the winner and the candidate that may take its place."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.core.report import Accuracy
from compress.core.units import parse_max_drop
from compress.pipeline import settle
from compress.pipeline.choose import Choice
from compress.pipeline.contenders import FP32, Candidate
from compress.pipeline.trial import Trial


def candidate(name):
    artifact = SimpleNamespace(graph=Path(name), folder=Path(name))
    recipe = SimpleNamespace(name=name, runtime="onnxruntime")
    return Candidate(recipe=recipe, made=(SimpleNamespace(artifact=artifact, size_bytes=1),))


def accuracy(bound):
    return Accuracy(
        metric="m", kind="task", items=900, baseline=1, result=1, drop=bound / 2, drop_upper_95=bound
    )


def judged(choice, monkeypatch, **bounds):
    """What is settled, and the names that were judged in each pass over the test part."""
    passes = []

    def on_test(graphs):
        passes.append(set(graphs))
        return {name: accuracy(bounds[name]) for name in graphs}

    monkeypatch.setattr(settle, "plainly_rounded", lambda *args, **kwargs: None)
    trial = Trial(
        base=SimpleNamespace(artifact=SimpleNamespace(graph=Path("base"))),
        baseline=1.0,
        candidates=[candidate("bold"), candidate("safe")],
        choice=choice,
    )
    plan = SimpleNamespace(
        max_drop=parse_max_drop("1pt"), model=SimpleNamespace(digest="d"), base=SimpleNamespace(runtime="r")
    )
    judge = SimpleNamespace(on_test=on_test)
    return settle.judge_on_test(trial, plan=plan, judge=judge, executor=None, source=None), passes


WHY = {"bold": "kept: fast", "safe": "slower"}


def test_a_sure_winner_is_judged_alone(monkeypatch):
    settled, passes = judged(Choice("bold", WHY), monkeypatch, bold=0.02)
    assert passes == [{"bold"}]
    assert settled.trial.choice.winner == "bold"
    assert settled.accuracy.drop_upper_95 == 0.02


@pytest.mark.parametrize(("bold", "published"), [(0.009, "bold"), (0.011, "safe")])
def test_a_fallback_takes_the_place_of_a_winner_that_fails(monkeypatch, bold, published):
    settled, passes = judged(Choice("bold", WHY, fallback="safe"), monkeypatch, bold=bold, safe=0.002)
    assert passes == [{"bold", "safe"}]
    assert settled.trial.winner.recipe.name == published
    why = settled.trial.choice.why
    if published == "safe":
        assert "may lose 0.0110 on the test part" in why["bold"]
        assert why["safe"] == "kept instead of 'bold'"
    else:
        assert why == WHY


def test_without_a_winner_the_fp32_graph_is_judged(monkeypatch):
    settled, passes = judged(Choice(None, WHY), monkeypatch, **{FP32: 0.0})
    assert passes == [{FP32}]
    assert settled.trial.winner is None
