"""A recipe that yields to others is made only where these lose too much."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from compress.core.errors import CompressError
from compress.core.preset import load_preset, preset_names
from compress.core.profile import load_profile, load_recipe, profile_names
from compress.core.recipe import Recipe
from compress.pipeline.contenders import Candidate, make_candidates, working
from compress.pipeline.trial import Scores


def recipe(name, *unless):
    return Recipe(name=name, steps=(), unless=unless)


def made(recipes, *, keeps=(), failing=()):
    """Names of the recipes that were made, of those that were judged, and all candidates."""
    applied, judged = [], []

    def apply(recipe, source, *, digest):
        applied.append(recipe.name)
        if recipe.name in failing:
            raise CompressError("unfit", "it does not fit", hint="another")
        return SimpleNamespace(made=(recipe.name,), dropped=())

    def kept(candidate):
        judged.append(candidate.recipe.name)
        return candidate.recipe.name in keeps

    plan = SimpleNamespace(recipes=recipes, chosen_by_user=False, model=SimpleNamespace(digest="d"))
    executor = SimpleNamespace(apply=apply, progress=SimpleNamespace(note=lambda text: None))
    candidates = make_candidates(plan, executor, None, keeps=kept)
    return applied, judged, candidates


LADDER = [recipe("c"), recipe("b", "c"), recipe("a", "c", "b"), recipe("other")]


def test_the_first_that_keeps_its_accuracy_spares_those_that_yield_to_it():
    applied, judged, candidates = made(LADDER, keeps=["c"])
    assert applied == ["c", "other"]
    assert set(judged) == {"c"}
    assert [one.recipe.name for one in candidates] == ["c", "b", "a", "other"]
    assert candidates[1].error == candidates[2].error == "not made, since 'c' keeps the accuracy"
    assert [one.recipe.name for one in working(candidates)] == ["c", "other"]


def test_what_loses_too_much_spares_nothing():
    applied, _, candidates = made(LADDER)
    assert applied == ["c", "b", "a", "other"]
    assert working(candidates) == candidates


def test_the_second_spares_the_third():
    applied, _, candidates = made(LADDER, keeps=["b"])
    assert applied == ["c", "b", "other"]
    assert candidates[2].error == "not made, since 'b' keeps the accuracy"


def test_what_could_not_be_made_is_not_judged():
    applied, judged, _ = made(LADDER, keeps=["c"], failing=["c"])
    assert applied == ["c", "b", "a", "other"]
    assert "c" not in judged


def test_each_candidate_is_judged_once():
    judged = []

    def on_choice(candidates):
        judged.extend(one.recipe.name for one in candidates)
        return {
            one.recipe.name: SimpleNamespace(drop=0.04, drop_upper_95=0.04, baseline=9.0)
            for one in candidates
        }

    splits = SimpleNamespace(metric=SimpleNamespace(name="perplexity"), share=1.0)
    judge = SimpleNamespace(on_choice=on_choice, splits=splits)
    budgets = SimpleNamespace(max_size=None, min_speedup=None)
    drop = SimpleNamespace(form="ratio", amount=1.05, text="1.05x")
    scores = Scores(SimpleNamespace(budgets=budgets, max_drop=drop, prefer="speed"), judge)
    first, second = (Candidate(recipe=recipe(name)) for name in "ab")
    assert scores.keeps(first)
    assert set(scores.of([first, second])) == {"a", "b"}
    assert judged == ["a", "b"]
    drop.amount = 1.03
    assert not scores.keeps(first)
    assert judged == ["a", "b"]


@pytest.mark.parametrize("holder", [*map(load_profile, profile_names()), *map(load_preset, preset_names())])
def test_shipped_recipes_yield_to_those_before_them(holder):
    for names in holder.candidates.values():
        for at, name in enumerate(names):
            later = set(names[at:])
            assert not later & set(load_recipe(name).unless), name
