"""`plan` predicts sizes within 3%, of models whose widths are no multiples of a group, too."""

from __future__ import annotations

import pytest
import torch
import transformers

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.profile import load_profile
from compress.core.recipe import recipe_from
from compress.graph.io import graph_bytes
from compress.model.headers import read_header
from compress.model.safety import read_json
from compress.pipeline.predict import predicted_bytes
from compress.pipeline.steps import bind, with_export
from tests import tiny

SIZES = {
    "vocab_size": 3000,
    "hidden_size": 288,
    "intermediate_size": 800,
    "num_hidden_layers": 2,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 256,
}


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def decoder(request, tmp_path_factory):
    """A decoder of odd widths, which groups of 128 pad by a fifth."""
    folder = tmp_path_factory.mktemp("odd")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SIZES, tie_word_embeddings=request.param)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tiny.tokenizer(folder)
    return folder


def made(folder, recipe, root):
    """Bytes of the graph that a recipe makes."""
    artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task="text-generation")
    ids = torch.randint(0, SIZES["vocab_size"], (2, 64)).numpy()
    for number, step in enumerate(recipe.steps):
        bound = bind(step)
        target = root / f"{number}"
        target.mkdir()
        context = Context(
            folder=target,
            calibration=Fixed([], windows=ids),
            profile=load_profile("cpu"),
            progress=Silent(),
            original=artifact,
        )
        artifact = bound.implementation.apply(artifact, bound.config, context)
    return graph_bytes(artifact.graph)


@pytest.mark.parametrize(
    "step",
    [
        {"quantize.round": {"bits": 8, "group_size": 128}},
        {"quantize.gptq": {"bits": 4, "group_size": 128, "embedding_bits": 4, "head_bits": 4, "samples": 2}},
    ],
    ids=["round", "gptq"],
)
def test_padded_groups_scales_and_zero_points_are_predicted(decoder, step, tmp_path):
    recipe = with_export(recipe_from({"steps": [step]}, name="own", where="here"), decoder=True)
    predicted = predicted_bytes(
        recipe,
        read_header(decoder / "model.safetensors"),
        config=read_json(decoder / "config.json", code="config-missing"),
    )
    assert predicted == pytest.approx(made(decoder, recipe, tmp_path), rel=0.03)
