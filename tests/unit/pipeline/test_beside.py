from compress.core.recipe import Recipe, Step
from compress.pipeline.beside import without_calibration


def recipe(*steps):
    return Recipe(name="mine", steps=tuple(Step(name=name, config=config) for name, config in steps))


def test_what_calibrates_is_replaced_by_rounding_to_the_same_bits():
    made = without_calibration(
        recipe(
            ("prune.vocabulary", {}),
            ("quantize.gptq", {"bits": 3, "group_size": -1, "embedding_bits": 4}),
            ("export.genai", {}),
        )
    )
    assert made is not None
    assert [step.name for step in made.steps] == ["prune.vocabulary", "quantize.round", "export.genai"]
    expected = {"bits": 3, "group_size": 0, "symmetric": False, "embedding": False, "head": False}
    assert made.steps[1].config == expected


def test_a_recipe_that_calibrates_nothing_has_nothing_beside_it():
    assert without_calibration(recipe(("quantize.round", {}), ("export.genai", {}))) is None


def test_bits_by_sensitivity_have_no_plain_rounding_beside():
    mixed = Recipe(name="mixed", why="", steps=(Step(name="quantize.gptq", config={"average_bits": 4.5}),))
    assert without_calibration(mixed) is None
