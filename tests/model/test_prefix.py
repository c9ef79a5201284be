"""Runs from within a model answer as whole ones do, and blocks are chosen as by those."""

from __future__ import annotations

import pytest
import torch

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.model.inputs import inputs_of
from compress.model.load import load_module
from compress.model.structure.outputs import Answer, answer, distance, ready
from compress.model.structure.prefix import Prefixes, plain, runs_from_within
from compress.model.structure.stack import find_stack
from compress.passes.prune import layers
from tests import tiny
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

NAMES = ["bert", "deberta-v2", "modernbert", "gpt2", "llama", "gemma3", "t5-encoder", "vit", "wav2vec2"]
DEPTHS = ("num_hidden_layers", "n_layer", "num_layers")


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """A function from a name to the folder of a model of that kind with five blocks."""

    def build(name):
        kind, config, task = tiny.ARCHITECTURES[name]
        deeper = {**config, **{key: 5 for key in DEPTHS if key in config}}
        if "layer_types" in config:
            deeper["layer_types"] = (3 * config["layer_types"])[:5]
        monkeypatch.setitem(tiny.ARCHITECTURES, name, (kind, deeper, task))
        tiny.build(name, tmp_path / name)
        return tmp_path / name, task

    return build


def loaded(folder, task):
    module = ready(load_module(folder, task))
    return module, inputs_of(module, folder).sample(batch=3, length=16, seed=3)


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_those_of_whole_runs(name, deep):
    module, batch = loaded(*deep(name))
    depth = len(find_stack(module))
    assert depth == 5
    assert runs_from_within(module, depth, batch)
    whole = answer(module, batch).values
    for keep in ([0, 1, 2, 3, 4], [0, 2, 3, 4], [0, 4]):
        candidates = keep[1:] if name == "t5-encoder" else keep
        prefixes = Prefixes(module, keep, candidates, batch)
        for one in candidates:
            assert torch.equal(prefixes.without(one).values, plain(module, keep, one, batch).values)
    assert torch.equal(answer(module, batch).values, whole)  # everything is back in its place


def naive(module, keep, count, batch, shortlist):
    """The greedy choice, every run from the start to the end."""
    angles = layers.angular_distances(module, find_stack(module), [as_arrays(batch)])
    expected, values = answer(module, batch), []
    for _ in range(count):
        candidates = sorted(keep, key=lambda index: angles[index])[:shortlist]
        losses = {
            one: distance(expected, plain(module, keep, one, batch), batch.get("attention_mask"))
            .mean()
            .item()
            for one in candidates
        }
        values.append(losses)
        keep = [index for index in keep if index != min(candidates, key=lambda one: losses[one])]
    return keep, values


def as_arrays(batch):
    return {name: value.numpy() for name, value in batch.items()}


@pytest.mark.parametrize("name", ["bert", "llama", "vit"])
def test_the_same_blocks_are_chosen_by_the_same_values(name, deep, tmp_path, monkeypatch):
    folder, task = deep(name)
    module, batch = loaded(folder, task)
    expected, values = naive(module, list(range(5)), 3, batch, 4)
    found, measure = [], layers.losses_without

    def spy(module, keep, candidates, feeds):
        losses = measure(module, keep, candidates, feeds)
        found.append(dict(zip(candidates, losses, strict=True)))
        return losses

    monkeypatch.setattr(layers, "losses_without", spy)
    (tmp_path / "cut").mkdir()
    notes = []
    progress = Silent()
    progress.note = notes.append
    context = Context(
        folder=tmp_path / "cut", calibration=Fixed([as_arrays(batch)]), profile=PROFILE, progress=progress
    )
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task=task)
    layers.apply(source, layers.Config(count=3, shortlist=4), context)
    assert notes == [f"kept blocks {', '.join(str(one) for one in expected)} of 5"]
    assert found == [pytest.approx(one, rel=1e-6) for one in values]


def test_a_model_that_reads_what_blocks_give_runs_whole(deep):
    """One that adds up what all of its blocks gave has no place to begin at."""
    folder, task = deep("llama")
    module, batch = loaded(folder, task)
    assert runs_from_within(module, 5, batch)
    seen = []
    for block in module.model.layers:
        block.register_forward_hook(lambda *given: seen.append(given[2]))

    class Summing(type(module)):
        def forward(self, **given):
            seen.clear()
            result = super().forward(**given)
            result["logits"] = self.lm_head(sum(seen))
            return result

    module.__class__ = Summing
    whole = plain(module, range(5), 3, batch).values
    assert not runs_from_within(module, 5, batch)
    arrays = as_arrays(batch)
    loss = layers.losses_without(module, range(5), [3], [arrays])[0]
    expected = distance(answer(module, batch), Answer(whole, True), batch.get("attention_mask"))
    assert loss == pytest.approx(expected.mean().item(), rel=1e-6)
