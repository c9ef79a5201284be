"""A disk that is too small is told before the work: of a step, and of the published artifact."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from compress.core.artifact import Artifact, ArtifactKind
from compress.core.errors import CompressError
from compress.core.paths import MANIFEST
from compress.core.recipe import Recipe, Step
from compress.core.seal import seal
from compress.pipeline.publish import publish
from compress.pipeline.space import refuse_step, result_bytes, work_bytes
from compress.pipeline.steps import with_export

WIDTH, LAYERS, VOCABULARY = 64, 4, 1000
SAMPLES, LENGTH = 8, 128
GPTQ = Step(name="quantize.gptq", config={"samples": SAMPLES, "length": LENGTH})


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    tensors = {
        f"model.layers.{layer}.mlp.up_proj.weight": np.zeros((4 * WIDTH, WIDTH), np.float32)
        for layer in range(LAYERS)
    }
    tensors["model.embed_tokens.weight"] = np.zeros((VOCABULARY, WIDTH), np.float32)
    save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "llama", "hidden_size": WIDTH, "num_hidden_layers": LAYERS}
    (folder / "config.json").write_text(json.dumps(config))
    return Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task="text-generation")


@pytest.fixture
def free(monkeypatch):
    return lambda count: monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=count))


def recipe_of(*steps):
    return with_export(Recipe(name="x", steps=steps), decoder=True)


def test_a_checkpoint_stays_as_large_as_it_was(checkpoint):
    recipe = recipe_of(Step(name="prune.layers", config={"count": 1}))
    size = (checkpoint.folder / "model.safetensors").stat().st_size
    assert result_bytes(recipe, 0, checkpoint, checkpoint) == pytest.approx(size, rel=0.01)


def test_fewer_bits_need_less(checkpoint):
    elements = LAYERS * 4 * WIDTH * WIDTH
    four, eight = (
        result_bytes(recipe_of(Step(name="quantize.gptq", config={"bits": bits})), 0, checkpoint, checkpoint)
        for bits in (4, 8)
    )
    assert eight - four == pytest.approx(elements / 2, rel=0.1)


def test_hidden_states_before_and_after_a_block_lie_on_the_disk(checkpoint):
    assert work_bytes(recipe_of(GPTQ), 0, checkpoint) == 2 * SAMPLES * LENGTH * WIDTH * 4
    assert work_bytes(recipe_of(GPTQ), 1, checkpoint) == 0  # the export keeps nothing


def test_a_step_without_room_is_refused(checkpoint, tmp_path, free):
    recipe, steps = recipe_of(GPTQ), tmp_path / "cache" / "steps"
    needed = result_bytes(recipe, 0, checkpoint, checkpoint) + work_bytes(recipe, 0, checkpoint)
    free(needed)
    refuse_step(steps, recipe, 0, checkpoint, checkpoint)
    free(needed - 1)
    with pytest.raises(CompressError, match="no-space") as caught:
        refuse_step(steps, recipe, 0, checkpoint, checkpoint)
    assert caught.value.message.startswith("step 'quantize.gptq' needs about")
    assert "compress cache clean" in caught.value.hint


@pytest.fixture
def cached(tmp_path):
    """A finished step in the cache."""
    folder = tmp_path / "steps" / "key"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(2000))
    seal(folder, name=folder)
    return folder


def published_from(folder, out):
    publish(folder, out, documents=lambda beside: {MANIFEST: "{}"}, seal=lambda beside: None, replace=False)


def test_an_artifact_without_room_is_not_begun(cached, tmp_path, free):
    free(1999)
    with pytest.raises(CompressError, match="no-space") as caught:
        published_from(cached, tmp_path / "artifacts" / "out")
    assert "--out" in caught.value.hint
    assert not (tmp_path / "artifacts").exists()
    free(2000)
    published_from(cached, tmp_path / "artifacts" / "out")


def test_what_was_damaged_after_it_had_been_measured_is_not_published(cached, tmp_path):
    graph = cached / "model.onnx"
    graph.chmod(0o644)
    graph.write_bytes(bytes(1999) + b"\1")
    with pytest.raises(CompressError, match="cache-damaged"):
        published_from(cached, tmp_path / "artifacts" / "out")
    assert not (tmp_path / "artifacts").exists()
