"""What is not installed is said before anything heavy begins."""

from __future__ import annotations

import pytest

from compress.core.errors import CompressError
from compress.core.recipe import Recipe, Step
from compress.pipeline import extras
from compress.pipeline.extras import refuse_all_missing_extras, refuse_missing_extras

PLAIN = Recipe(name="plain", steps=(Step(name="export.onnx"),))
OPENVINO = Recipe(name="vino", steps=(Step(name="export.onnx"),), runtime="openvino")
BITS = Recipe(name="bits", steps=(Step(name="export.bitsandbytes"),))


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)


@pytest.mark.parametrize(("recipe", "library"), [(OPENVINO, "openvino"), (BITS, "bitsandbytes")])
def test_a_recipe_that_lacks_an_extra_is_refused_by_name(recipe, library):
    with pytest.raises(CompressError, match=f"{library}.*not installed") as error:
        refuse_missing_extras(recipe)
    assert error.value.code == "extra-missing"
    assert f"[{library}]" in error.value.hint


def test_another_recipe_is_enough():
    refuse_all_missing_extras([OPENVINO, PLAIN])
    with pytest.raises(CompressError, match="openvino"):
        refuse_all_missing_extras([OPENVINO, BITS])
