"""Caches of 8-bit integers: what the graph keeps, what it answers, what the runtime writes with it."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

import compress
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError, InternalError
from compress.core.profile import load_profile
from compress.decoder import kv_cache
from compress.decoder.cache_error import departures, refuse_departed
from compress.decoder.parity import compare_tokens
from compress.graph.cached import first_step, next_step
from compress.graph.ort import OrtRunner
from compress.passes.cached_graph import CODES_TOLERANCE
from compress.passes.export import genai

pytestmark = pytest.mark.model

NEW_TOKENS = 12
WINDOWS = np.random.default_rng(0).integers(4, 160, (8, 64))


def export(folder, target, **config):
    target.mkdir()
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task="text-generation")
    context = Context(
        folder=target, calibration=Fixed(windows=WINDOWS), profile=load_profile("cpu"), progress=Silent()
    )
    return genai.apply(artifact, genai.Config(**config), context)


def greedy(runner, ids):
    """What the graph writes after ids (T,), step by step from its cache."""
    outputs, past, written = runner.run(first_step(runner.inputs, ids[None])), len(ids), []
    for _ in range(NEW_TOKENS):
        written.append(int(outputs["logits"][0, -1].argmax()))
        outputs = runner.run(next_step(runner.inputs, np.array([written[-1:]]), outputs, past=past))
        past += 1
    return written


@pytest.mark.parametrize("name", ["llama-wide", "gemma2-wide", "qwen3.5"])
def test_a_graph_keeps_codes(name, tiny_models, tmp_path):
    plain = OrtRunner(export(tiny_models(name), tmp_path / "plain").graph)
    made = export(tiny_models(name), tmp_path / "made", kv_cache="int8")
    runner = OrtRunner(made.graph)
    assert kv_cache.bytes_a_token(runner) * 4 == kv_cache.bytes_a_token(plain)
    ids = WINDOWS[0]
    kept, codes = (one.run(first_step(one.inputs, ids[None])) for one in (plain, runner))
    constants = onnx.load(str(made.graph), load_external_data=False).graph.initializer
    scale = {one.name: onnx.numpy_helper.to_array(one) for one in constants if one.name.endswith(".scale")}
    first = next(name for name in runner.outputs if name.endswith(".key")).removesuffix(".key")
    for part in ("key", "value"):  # of the first layer with a cache, whose inputs are the same
        output = f"{first}.{part}"
        assert codes[output].dtype == np.int8
        step = scale[f"{output}.scale"]
        assert np.all(np.abs(codes[output] * step - kept[output]) <= 0.501 * step)
        assert np.abs(codes[output]).max() == 127
    parity = json.loads((made.folder / "export.json").read_text())["parity"]
    assert [line["output"].endswith("cache in int8") for line in parity] == [False, False, True, True]
    # The runtime, which keeps one buffer, writes what the graph does, also after it went back.
    session = compress.load(made.folder)._decoder.session(ids, longest=len(ids) + NEW_TOKENS)
    for _ in range(2):
        assert [session.next() for _ in range(NEW_TOKENS)] == greedy(runner, ids)
        session.rewind()


def test_a_wrong_scale_is_found(tiny_models, tmp_path):
    made = export(tiny_models("llama-wide"), tmp_path / "made")
    plain, ids = OrtRunner(made.graph), WINDOWS[:2, :24]
    expected = plain.run(first_step(plain.inputs, ids))["logits"]
    scales = kv_cache.scales(kv_cache.largest(plain, WINDOWS))
    kv_cache.write_int8_cache(made.graph, {name: scale / 8 for name, scale in scales.items()})
    with pytest.raises(InternalError, match="differs"):
        compare_tokens(OrtRunner(made.graph), ids, expected, prompt=12, relative=CODES_TOLERANCE)


@pytest.mark.parametrize("layer", ["present.0.key", "present.1.value"])
@pytest.mark.parametrize("factor", [4, 0.25])
def test_a_wrong_scale_of_one_layer_is_found(layer, factor, tiny_models, tmp_path, monkeypatch):
    right = kv_cache.write_int8_cache

    def wrong(path, scale):
        right(path, {**scale, layer: scale[layer] * factor})

    monkeypatch.setattr(kv_cache, "write_int8_cache", wrong)
    with pytest.raises(InternalError, match=f"{layer} in int8"):
        export(tiny_models("llama-wide"), tmp_path / "made", kv_cache="int8")


def test_errors_are_the_middle_tokens_in_steps():
    exact = np.zeros((1, 2, 3, 4), np.float32)
    found = exact + np.array([1.0, 2.0, 30.0], np.float32)[:, None]
    steps = {"present.0.key": np.full((1, 2, 1, 4), 0.5, np.float32)}
    errors = departures({"present.0.key": exact}, {"present.0.key": found}, steps)
    assert errors == {"present.0.key": 16.0}


def test_drift_that_grows_from_layer_to_layer_is_no_fault():
    """As over the layers of SmolLM2; scales times 4 add 15/12 wherever they stand."""
    deep = {
        f"present.{layer}.{part}": 1 / 12 + 0.012 * layer for layer in range(99) for part in ("value", "key")
    }
    refuse_departed(deep)
    for layer, added in ((0, 15 / 12), (29, 15 / 12), (98, 15 / 12), (7, float("nan"))):
        name = f"present.{layer}.key"
        with pytest.raises(InternalError, match=name):
            refuse_departed({**deep, name: deep[name] + added})


def test_channels_without_a_value_have_a_scale():
    found = kv_cache.scales({"present.0.key": np.array([[0.0, 254.0]], np.float32)})
    assert found["present.0.key"].shape == (1, 1, 1, 2)
    assert found["present.0.key"].ravel().tolist() == [1.0, 2.0]


def test_a_traced_graph_has_no_such_cache(tiny_models, tmp_path):
    with pytest.raises(CompressError, match="GPT2LMHeadModel") as caught:
        export(tiny_models("gpt2"), tmp_path / "made", kv_cache="int8")
    assert caught.value.code == "cache-unsupported"
    assert not list((tmp_path / "made").iterdir())


def test_only_what_is_calibrated_depends_on_rows():
    assert genai.calibrated(genai.Config(kv_cache="int8"))
