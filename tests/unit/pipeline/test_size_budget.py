"""A budget of size reaches the steps that choose bits, and leaves room for what is no weight."""

import pytest

from compress.core.profile import load_recipe
from compress.core.recipe import recipe_from
from compress.model.headers import TensorHeader
from compress.passes.quantize import gptq
from compress.pipeline.predict import predicted_bytes
from compress.pipeline.size_budget import beside_weights, within_size
from compress.pipeline.steps import bind, check_chain

SMOL = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "max_position_embeddings": 8192,
}


def recipe(**config):
    return recipe_from({"steps": [{"quantize.gptq": config}, {"export.genai": {}}]}, name="own", where="here")


def test_a_recipe_that_chooses_bits_keeps_to_the_size():
    made = within_size(load_recipe("gptq-mixed"), 90_000_000, SMOL)
    check_chain(made)
    config = bind(made.steps[0]).config
    assert isinstance(config, gptq.Config)
    assert (config.average_bits, config.max_size) == (4.45, f"{90_000_000 - beside_weights(SMOL)}B")
    assert config.group_size == 128


@pytest.mark.parametrize(
    "config", [{"max_size": "80MB"}, {"average_bits": 5, "max_size": "80MB"}, {"bits": 4}]
)
def test_a_size_of_its_own_and_bits_for_all_stay(config):
    assert within_size(recipe(**config), 90_000_000, SMOL) == recipe(**config)


def test_without_a_budget_nothing_changes():
    assert within_size(load_recipe("gptq-mixed"), None, SMOL) == load_recipe("gptq-mixed")


def test_beside_the_weights_are_tables_and_nodes():
    # SmolLM2-135M in 4 bits of blocks of 32: 80.26 MB on disk, of which 77.90 are weights and their grids.
    assert 2_360_000 < beside_weights(SMOL) < 2_700_000
    assert beside_weights({"model_type": "bloom", "n_layer": 3}) < 100_000  # no table of positions


def test_a_prediction_is_no_larger_than_what_is_kept_to():
    tensors = {"model.layers.0.up.weight": TensorHeader("F32", (64, 64), 0, 64 * 64 * 4)}
    wide = 64 * 64 * (8 + 20 / 32) / 8  # all in 8 bits, with a scale and a zero point for each 32
    assert predicted_bytes(recipe(max_size="100kB"), tensors) == int(wide)
    assert predicted_bytes(recipe(max_size="1kB"), tensors) == 1000
