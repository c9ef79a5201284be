import pytest

from compress.core.errors import CompressError
from compress.core.profile import load_profile, load_recipe, profile_names, recipe_names
from compress.core.recipe import read_recipe


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_steps_keep_their_order_and_their_keys(tmp_path):
    path = write(tmp_path, "steps:\n  - b.two: {x: 1}\n  - a.one:\nwhy: because\n")
    recipe = read_recipe(path)
    assert [(step.name, step.config) for step in recipe.steps] == [("b.two", {"x": 1}), ("a.one", {})]
    assert (recipe.name, recipe.why) == ("mine", "because")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 3\n", "steps"),
        ("stepz: []\n", "did you mean 'steps'"),
        ("steps:\n  - {a: {}, b: {}}\n", "exactly one name"),
        ("steps:\n  - quantize.dynamic\n", "steps.0"),
        ("", "mapping"),
        ("\x00", "YAML"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, message):
    with pytest.raises(CompressError, match="recipe-invalid") as caught:
        read_recipe(write(tmp_path, text))
    assert message in f"{caught.value} {caught.value.hint}"


def test_unknown_names_are_helped():
    with pytest.raises(CompressError, match="recipe-unknown") as caught:
        load_recipe("int9")
    assert "did you mean 'int8'" in caught.value.hint
    with pytest.raises(CompressError, match="profile-unknown") as caught:
        load_profile("cpuu")
    assert "did you mean" in caught.value.hint


def test_everything_that_ships_can_be_read():
    assert {load_profile(name).name for name in profile_names()} == set(profile_names())
    known = set(recipe_names())
    for name in known:
        assert load_recipe(name).steps or name == "fp32"
    for name in profile_names():
        for candidates in load_profile(name).candidates.values():
            assert set(candidates) <= known, name
