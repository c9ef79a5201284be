"""Caches of unlike layers under one shape, and how long a text one table of positions serves."""

from __future__ import annotations

import json

import pytest
import torch

from compress.decoder.cache import Shape, State
from compress.decoder.traced import input_names, output_names, write_settings

UNLIKE = Shape(own=((2, 8), (2, 16), (4, 8), (1, 8)), numbers=(0, 1), count=2)


def test_keys_and_values_are_filled_up_to_the_largest_and_cut_again():
    own = [torch.rand(3, heads, 5, width) for heads, width in UNLIKE.own]
    fed = UNLIKE.filled_up(own)
    assert {tuple(one.shape) for one in fed} == {(3, 4, 5, 16)}
    assert sum(float(one.sum()) for one in fed) == pytest.approx(sum(float(one.sum()) for one in own))
    assert all(torch.equal(a, b) for a, b in zip(UNLIKE.cut(fed), own, strict=True))


def test_like_ones_stay_the_same_tensors():
    own = [torch.rand(1, 2, 3, 8) for _ in range(2)]
    found = Shape(own=((2, 8), (2, 8)), numbers=(0,), count=1).filled_up(own)
    assert all(a is b for a, b in zip(found, own, strict=True))


FACTORS = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
LONG = {"rope_type": "longrope", "original_max_position_embeddings": 48, **FACTORS}


@pytest.mark.parametrize(
    ("more", "length"),
    [
        ({}, 128),
        ({"rope_parameters": {"rope_type": "default"}}, 128),
        ({"rope_parameters": LONG}, 48),
        (
            {"rope_scaling": {"type": "longrope", **FACTORS}, "original_max_position_embeddings": 40},
            40,
        ),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, 128),
    ],
)
def test_a_text_is_as_long_as_one_table_of_positions_serves(more, length, tmp_path):
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "vocab_size": 160, "max_position_embeddings": 128}
    config = {"model_type": "llama", **sizes, **more}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_settings(tmp_path, config, UNLIKE)
    written = json.loads((tmp_path / "genai_config.json").read_text())
    assert written["model"]["context_length"] == written["search"]["max_length"] == length
    decoder = written["model"]["decoder"]
    assert (decoder["num_key_value_heads"], decoder["head_size"], decoder["hidden_size"]) == (4, 16, 64)


def test_layers_keep_keys_and_values_or_states_under_their_numbers(tmp_path):
    states = (State(0, (12, 3), (2, 8, 4)), State(3, (12, 3), (2, 8, 4)))
    shape = Shape(own=((2, 16), (2, 16)), numbers=(2,), count=4, states=states)
    assert input_names(shape)[3:] == [
        "past_key_values.2.key", "past_key_values.2.value",
        "past.0.conv", "past.0.recurrent", "past.3.conv", "past.3.recurrent",
    ]  # fmt: skip
    assert output_names(shape)[1:3] == ["present.2.key", "present.2.value"]
    assert output_names(shape)[-1] == "present.3.recurrent"
    assert shape.sizes(batch=5, past=7) == [(5, 2, 7, 16)] * 2 + [(5, 12, 3), (5, 2, 8, 4)] * 2
    config = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 160}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_settings(tmp_path, config, shape)
    decoder = json.loads((tmp_path / "genai_config.json").read_text())["model"]["decoder"]
    assert decoder["num_hidden_layers"] == 4
    assert decoder["inputs"]["past_conv_names"] == "past.%d.conv"
    assert decoder["inputs"]["past_key_names"] == "past_key_values.%d.key"
    assert decoder["outputs"]["present_recurrent_names"] == "present.%d.recurrent"
