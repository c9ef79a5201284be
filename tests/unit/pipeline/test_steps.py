from importlib import import_module

import pytest

from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.recipe import Recipe, Step
from compress.pipeline.steps import bind, check_chain, step_names, with_export


def recipe(*names):
    return Recipe(name="mine", steps=tuple(Step(name=name) for name in names))


def test_every_module_under_passes_is_a_whole_pass():
    names = step_names()
    assert {"export.onnx", "quantize.dynamic", "quantize.static", "quantize.weights"} <= set(names)
    for name in names:
        implementation = import_module(f"compress.passes.{name}")
        assert implementation.ACCEPTS
        assert implementation.PRODUCES
        assert issubclass(implementation.Config, Frozen)
        assert callable(implementation.apply)
        assert implementation.__doc__, name


def test_an_unknown_step_is_helped():
    with pytest.raises(CompressError, match="step-unknown") as caught:
        bind(Step(name="quantize.dynamik"))
    assert "did you mean 'quantize.dynamic'" in caught.value.hint


def test_an_unknown_key_is_helped():
    with pytest.raises(CompressError, match="step-invalid") as caught:
        bind(Step(name="export.onnx", config={"opse": 20}))
    assert "did you mean 'opset'" in caught.value.hint


def test_the_export_is_written_out_where_it_is_implicit():
    names = [step.name for step in with_export(recipe("quantize.dynamic")).steps]
    assert names == ["export.onnx", "export.fuse", "quantize.dynamic"]
    assert [step.name for step in with_export(recipe()).steps] == ["export.onnx", "export.fuse"]
    assert with_export(recipe("export.onnx")) == recipe("export.onnx")


def test_chains_that_do_not_fit_are_refused():
    assert len(check_chain(recipe("export.onnx", "quantize.dynamic"))) == 2
    with pytest.raises(CompressError, match="needs a model of kind checkpoint, gets onnx"):
        check_chain(recipe("export.onnx", "export.onnx"))
    with pytest.raises(CompressError, match="needs a model of kind onnx, gets checkpoint"):
        check_chain(recipe("quantize.dynamic", "export.onnx"))
