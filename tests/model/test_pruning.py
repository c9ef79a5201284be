"""Structural pruning of every architecture: it answers as the original with zeros in the same places does."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
import torch

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.core.operators import Operators, TimeLine
from compress.core.profile import load_profile
from compress.core.recipe import recipe_from
from compress.model.inputs import inputs_of
from compress.model.load import empty_module, load_module
from compress.model.safety import read_headers
from compress.model.structure.depth import only_blocks
from compress.model.structure.hollow import hollow_module
from compress.model.structure.outputs import answer, ready
from compress.model.structure.shrink import masked, narrowed
from compress.model.structure.sites import find_sites, layer_shape, sites_of, with_tables
from compress.model.structure.stack import find_stack, linears, matrix_of
from compress.model.structure.widths import WIDTHS
from compress.passes import widths
from compress.passes.export import fuse
from compress.passes.export import onnx as export
from compress.passes.prune import ffn, heads, layers, sparse
from compress.passes.quantize import dynamic
from compress.pipeline.predict import predicted_bytes
from compress.pipeline.savings import saving_lines, savings
from compress.pipeline.shares import measure_shares
from compress.pipeline.subjects import Subject
from tests import tiny
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

TRANSFORMERS = [
    "bert", "distilbert", "roberta", "mpnet", "electra", "albert", "deberta-v2", "modernbert", "gpt2",
    "llama", "qwen3", "gemma3", "t5-encoder", "bart-encoder", "vit", "clip-vision", "wav2vec2", "swin",
]  # fmt: skip
EXPORTED = ["bert", "gpt2", "llama", "modernbert", "t5-encoder", "vit", "wav2vec2"]
WITH_WIDTHS = {"bert", "distilbert", "roberta", "mpnet", "electra", "albert", "deberta-v2", "modernbert",
               "gpt2", "bart-encoder", "clip-vision", "wav2vec2", "swin"}  # fmt: skip
"""Architectures whose configuration has no width of a head: fewer heads need a file of widths."""


@pytest.fixture
def model(tiny_models):
    def load(name):
        folder, task = tiny_models(name), tiny.ARCHITECTURES[name][2]
        module = ready(load_module(folder, task))
        return module, inputs_of(module, folder).sample(batch=2, length=16, seed=3)

    return load


@pytest.mark.parametrize("kind", ["ffn", "heads"])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_without_units_it_answers_as_with_zeros_in_their_place(name, kind, model):
    module, batch = model(name)
    sites = sites_of(module, kind, lambda: answer(module, batch, grad=True))
    sites, shared = with_tables(module, sites) if kind == "heads" else (sites, False)
    random = np.random.default_rng(0)
    cuts = []
    for index, site in enumerate(sites):
        total = len(site.units)
        count = 1 if shared else max(1, total // 2 - index % 2)  # each block another number
        cuts.append((site, np.array([1]) if shared else random.permutation(total)[:count]))
    whole = answer(module, batch).values
    with masked(module, cuts):
        expected = answer(module, batch).values
    with narrowed(module, cuts):
        found = answer(module, batch).values
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(found, whole, atol=1e-3)
    assert torch.equal(answer(module, batch).values, whole)  # put back


@pytest.mark.parametrize("name", sorted(set(TRANSFORMERS) - {"albert", "swin"}))
def test_without_a_block_it_answers_as_where_the_block_does_nothing(name, model):
    module, batch = model(name)
    last = len(find_stack(module)) - 1

    def nothing(_, args, kwargs, output):
        x = args[0] if args else kwargs["hidden_states"]
        return (x, *output[1:]) if isinstance(output, tuple) else x

    with only_blocks(module, range(last)):
        found = answer(module, batch).values
    handle = find_stack(module).blocks[last].register_forward_hook(nothing, with_kwargs=True)
    expected = answer(module, batch).values
    handle.remove()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def prune(folder, target, name, steps, *, layers=None):
    """Apply steps one after the other, as a run does; returns the last artifact."""
    task = tiny.ARCHITECTURES[name][2]
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task=task)
    inputs = inputs_of(load_module(folder, task), folder)
    batches = [inputs.sample(batch=2, length=16, seed=seed) for seed in range(2)]
    feeds = Fixed([{key: value.numpy() for key, value in batch.items()} for batch in batches])
    for index, (step, config) in enumerate(steps):
        beside = target / str(index)
        beside.mkdir(parents=True)
        context = Context(folder=beside, calibration=feeds, profile=PROFILE, progress=Silent(), layers=layers)
        before, artifact = artifact, step.apply(artifact, step.Config(**config), context)
        for path in before.folder.iterdir():
            if not (beside / path.name).exists() and path.name not in (WIDTHS, "model.safetensors"):
                shutil.copy(path, beside)
    return artifact


@pytest.mark.parametrize("name", EXPORTED)
def test_a_pruned_checkpoint_is_read_again_exported_and_smaller(name, tiny_models, tmp_path):
    steps = [(layers, {"count": 1}), (ffn, {"ratio": 0.5, "multiple": 8}), (heads, {"ratio": 0.5})]
    checkpoint = prune(tiny_models(name), tmp_path, name, steps)
    assert (checkpoint.folder / WIDTHS).exists() == (name in WITH_WIDTHS)
    before = sum(p.numel() for p in load_module(tiny_models(name), checkpoint.task).parameters())
    module = load_module(checkpoint.folder, checkpoint.task)
    assert len(find_stack(module)) == 1
    assert sum(p.numel() for p in module.parameters()) < before * 0.95
    shapes = {
        key: value.shape
        for key, value in empty_module(checkpoint.folder, checkpoint.task).state_dict().items()
    }
    assert shapes == {key: value.shape for key, value in module.state_dict().items()}
    graph = tmp_path / "graph"
    graph.mkdir()
    context = Context(folder=graph, calibration=Fixed([]), profile=PROFILE, progress=Silent())
    export.apply(checkpoint, export.Config(), context)  # compares with the module


def test_what_transformers_itself_loads_where_the_configuration_says_all(tiny_models, tmp_path):
    import transformers

    steps = [(layers, {"keep": [1]}), (ffn, {"ratio": 0.25, "multiple": 8}), (heads, {"ratio": 0.5})]
    checkpoint = prune(tiny_models("llama"), tmp_path, "llama", steps)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder)
    assert theirs.config.num_hidden_layers == 1
    assert theirs.config.intermediate_size == 48
    assert (theirs.config.num_attention_heads, theirs.config.num_key_value_heads) == (2, 1)
    assert theirs.config.head_dim == 8
    ours = load_module(checkpoint.folder, "text-generation")
    batch = {"input_ids": torch.arange(5, 15)[None]}
    torch.testing.assert_close(theirs(**batch).logits, answer(ours, batch).values)


def test_widths_from_a_stranger_are_checked(tiny_models, tmp_path):
    checkpoint = prune(tiny_models("bert"), tmp_path, "bert", [(heads, {"ratio": 0.5})])
    values = json.loads((checkpoint.folder / WIDTHS).read_text())
    name = next(iter(values["linears"]))
    for broken in (
        {**values, "format": 9},
        {**values, "linears": {name: [10**9, 32]}},
        {**values, "linears": {"nothing.here": [1, 1]}},
        {**values, "linears": {name: "wide"}},
        {**values, "counts": {"encoder": {"forward": 1}}},
    ):
        (checkpoint.folder / WIDTHS).write_text(json.dumps(broken))
        with pytest.raises(CompressError) as caught:
            load_module(checkpoint.folder, checkpoint.task)
        assert caught.value.code == "widths-invalid"


@pytest.mark.parametrize(
    ("name", "step", "config"),
    [
        ("resnet", ffn, {"ratio": 0.5}),
        ("convnext", heads, {"ratio": 0.5}),
        ("convnext", layers, {"count": 1}),
        ("swin", layers, {"keep": [0]}),
        ("albert", layers, {"count": 1}),
        ("t5-encoder", layers, {"keep": [1]}),
    ],
)
def test_a_structure_that_is_not_supported_is_refused(name, step, config, tiny_models, tmp_path):
    with pytest.raises(CompressError) as caught:
        prune(tiny_models(name), tmp_path, name, [(step, config)])
    assert caught.value.code == "structure-unsupported"


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_widths_that_differ_by_layer_save_as_much_and_are_read_again(name, tiny_models, tmp_path):
    def widths(uniform):
        steps = [(ffn, {"ratio": 0.5, "multiple": 8, "uniform": uniform})]
        pruned = prune(tiny_models(name), tmp_path / str(uniform), name, steps)
        module = load_module(pruned.folder, pruned.task)
        sites = [site for site in _sites(module) if site.kind == "ffn"]
        return [len(site.units) for site in sites]

    assert widths(True) == [32, 32]
    free = widths(False)
    assert sum(free) == 64
    assert all(width % 8 == 0 and width >= 8 for width in free)


def _sites(module):
    batch = {"input_ids": torch.arange(5, 15)[None]}
    return find_sites(find_stack(module), lambda: answer(ready(module), batch, grad=True))


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_what_inspect_says_is_what_goes(name, tiny_models, tmp_path):
    said = {
        saving.step: saving.parameters for saving in savings(tiny_models(name), tiny.ARCHITECTURES[name][2])
    }
    before = parameters(tiny_models(name), name)
    for step, config in ((layers, {"count": 1}), (ffn, {"ratio": 0.25, "multiple": 1})):
        key = f"prune.{step.__name__.rpartition('.')[2]}"
        pruned = prune(tiny_models(name), tmp_path / key, name, [(step, config)])
        assert before - parameters(pruned.folder, name) == said[key]


@pytest.mark.parametrize("name", ["qwen3-moe", "deepseek-v3"])
def test_inspect_knows_a_mixture_of_experts(name, tiny_models):
    """Torch's grouped products of experts refuse weights that take no memory."""
    said = {one.step: one.parameters for one in savings(tiny_models(name), "text-generation")}
    blocks = load_module(tiny_models(name), "text-generation").model.layers
    weights = sum(one.numel() for one in blocks.parameters())
    assert said["prune.layers"] == weights // len(blocks)


def parameters(folder, name):
    return sum(p.numel() for p in load_module(folder, tiny.ARCHITECTURES[name][2]).parameters())


@pytest.mark.parametrize(
    "config",
    [{"method": "magnitude"}, {"method": "wanda", "pattern": "2:4"}, {"method": "sparsegpt", "ratio": 0.25}],
)
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_zeros_are_where_they_were_asked_for(name, config, tiny_models, tmp_path):
    pruned = prune(tiny_models(name), tmp_path, name, [(sparse, config)])
    module = load_module(pruned.folder, pruned.task)
    for linear in linears(find_stack(module).blocks).values():
        matrix = matrix_of(linear)
        assert (matrix == 0).float().mean().item() == pytest.approx(config.get("ratio", 0.5), abs=0.01)
        if "pattern" in config:
            assert ((matrix.reshape(len(matrix), -1, 4) == 0).sum(dim=2) == 2).all()


def test_refitting_leaves_less_error_than_cutting(tiny_models, tmp_path):
    batch = {"input_ids": torch.randint(5, 150, (16, 16), generator=torch.Generator().manual_seed(9))}
    expected = answer(ready(load_module(tiny_models("bert"), "feature-extraction")), batch).values
    errors = []
    for refit in (True, False):
        steps = [(ffn, {"ratio": 0.25, "multiple": 8, "reconstruct": refit})]
        pruned = prune(tiny_models("bert"), tmp_path / str(refit), "bert", steps)
        found = answer(ready(load_module(pruned.folder, pruned.task)), batch).values
        errors.append((found - expected).square().mean().item())
    assert errors[0] < errors[1]


def test_attentions_of_unequal_numbers_of_heads_are_fused_and_rounded(tiny_models, tmp_path, monkeypatch):
    monkeypatch.setattr(widths, "allocate", lambda choices, target: [1, 3])
    checkpoint = prune(tiny_models("bert"), tmp_path, "bert", [(heads, {"ratio": 0.5, "uniform": False})])
    feed = {"input_ids": np.arange(5, 21).reshape(2, 8), "attention_mask": np.ones((2, 8), np.int64),
            "token_type_ids": np.zeros((2, 8), np.int64)}  # fmt: skip
    artifact = checkpoint
    for step, config in ((export, {}), (fuse, {}), (dynamic, {"minimum_elements": 0})):
        folder = tmp_path / step.__name__
        folder.mkdir()
        context = Context(folder=folder, calibration=Fixed([feed]), profile=PROFILE, progress=Silent())
        artifact = step.apply(artifact, step.Config(**config), context)
    nodes = onnx.load(artifact.graph).graph.node
    fused = [node for node in nodes if node.op_type == "Attention"]
    counts = [{one.name: one.i for one in node.attribute}["q_num_heads"] for node in fused]
    assert counts == [3, 1]
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == 12


class Layers:
    """FIXTURE: a target on which products take as long as they have multiplications, in fours of units."""

    def seconds(self, shape, units, *, dtype, one_token):
        self.asked = (dtype, one_token)
        cost = sum(shape.produced) * shape.inside + shape.consumed * shape.outside
        step = 4 if shape.kind == "ffn" else 1
        return [cost * step * -(-count // step) for count in units]


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize(("name", "step"), [("bert", ffn), ("llama", ffn), ("gpt2", heads)])
def test_widths_are_found_for_a_share_of_the_time(name, step, uniform, tiny_models, tmp_path):
    config = {"latency": 0.8, "multiple": 1, "uniform": uniform, "dtype": "fp32"}
    timed = Layers()
    pruned = prune(tiny_models(name), tmp_path, name, [(step, config)], layers=timed)
    spent = []
    for folder in (tiny_models(name), pruned.folder):
        module = load_module(folder, tiny.ARCHITECTURES[name][2])
        sites = _sites(module)
        spent.append(
            sum(
                timed.seconds(layer_shape(module, one), [len(one.units)], dtype="fp32", one_token=True)[0]
                for one in sites
            )
        )
    assert 0.6 < spent[1] / spent[0] <= 0.8
    assert timed.asked[0] == "fp32"


def test_without_a_clock_a_share_of_the_time_is_refused(tiny_models, tmp_path):
    with pytest.raises(CompressError, match="nothing here that layers could be timed with"):
        prune(tiny_models("bert"), tmp_path, "bert", [(ffn, {"latency": 0.8})])


@pytest.mark.parametrize("config", [{}, {"ratio": 0.5, "latency": 0.5}])
def test_one_budget_is_given(config):
    with pytest.raises(ValueError, match="give one of ratio, latency"):
        ffn.Config(**config)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_the_time_of_a_checkpoint_by_part(name, tiny_models):
    task = tiny.ARCHITECTURES[name][2]
    subject = Subject(name=name, folder=tiny_models(name), task=task, runtime="torch")
    found = measure_shares(subject, load_profile("cpu"))
    assert {"attention", "ffn", "norm", "embedding"} <= set(found.shares)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.workload == ("prefill" if task == "text-generation" else "throughput")


def test_what_pruning_would_save_of_the_time_follows_the_measured_shares(tiny_models):
    parts = {"attention": 30.0, "ffn": 50.0, "norm": 10.0, "embedding": 10.0}
    lines = tuple(
        TimeLine(name=name, before_ms=value, after_ms=1.0, before_count=1, after_count=1)
        for name, value in parts.items()
    )
    measured = Operators(
        workload="throughput", batch=1, length=8, by_type=(), by_component=lines, profiled=("before",)
    )
    folder, task = tiny_models("bert"), "feature-extraction"
    saved = saving_lines(folder, task, parameters=1000, operators=measured)
    depth = len(hollow_module(folder, task).encoder.layer)
    assert {one.step: one.latency_share for one in saved} == {
        "prune.layers": pytest.approx(0.9 / depth), "prune.ffn": pytest.approx(0.125),
        "prune.heads": pytest.approx(0.075), "prune.vocabulary": 0.0,
    }  # fmt: skip
    assert all(one.share == one.parameters / 1000 for one in saved)
    unmeasured = saving_lines(folder, task, parameters=1000, operators=None)
    assert {one.latency_share for one in unmeasured} == {None}


def test_a_plan_predicts_what_stays(tiny_models):
    def predicted(**steps):
        written = {"steps": [{f"prune.{name}": config} for name, config in steps.items()]}
        recipe = recipe_from(written, name="test", where="test")
        return predicted_bytes(recipe, read_headers(tiny_models("bert")))

    whole = predicted()
    said = {saving.step: saving.size_bytes for saving in savings(tiny_models("bert"), "feature-extraction")}
    assert whole - predicted(layers={"keep": [0]}) == pytest.approx(said["prune.layers"], rel=0.01)
    assert whole - predicted(ffn={"ratio": 0.25}) == pytest.approx(said["prune.ffn"], rel=0.05)
    assert whole - predicted(heads={"ratio": 0.25}) == pytest.approx(said["prune.heads"], rel=0.05)
