import pytest

from compress.core.errors import CompressError
from compress.core.preset import load_preset, preset_names
from compress.core.profile import ModelKind, load_profile, load_recipe, profile_names


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_has_recipes_for_every_kind_on_every_target(name):
    preset = load_preset(name)
    for kind in ModelKind:
        recipes = [load_recipe(recipe) for recipe in preset.candidates[kind]]
        for profile in map(load_profile, profile_names()):
            assert any(set(recipe.formats) <= set(profile.formats) for recipe in recipes), (
                kind,
                profile.name,
            )


def test_an_unknown_preset_names_the_likeliest():
    with pytest.raises(CompressError) as caught:
        load_preset("losless")
    assert caught.value.code == "preset-unknown"
    assert "lossless" in (caught.value.hint or "")
