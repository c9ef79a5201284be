from __future__ import annotations

import json

import pytest

from compress.cli.main import main
from compress.core.profile import load_recipe, recipe_names
from compress.core.recipe import read_recipe
from compress.pipeline.steps import check_chain, with_export


@pytest.mark.parametrize("name", recipe_names())
def test_show_prints_a_file_that_makes_the_same(name, capsys, tmp_path):
    assert main(["recipes", "show", name]) == 0
    path = tmp_path / f"{name}.yaml"
    path.write_text(capsys.readouterr().out)
    shown, shipped = read_recipe(path), with_export(load_recipe(name))
    assert check_chain(shown) == check_chain(shipped)
    assert shown.model_copy(update={"steps": ()}) == shipped.model_copy(update={"steps": ()})


def test_show_as_json(capsys):
    assert main(["recipes", "show", "gptq-int4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unless"] == ["gptq-int4-128", "gptq-int4-64"]


def test_list_names_every_recipe(capsys):
    assert main(["recipes", "list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["recipes"]) == set(recipe_names())
