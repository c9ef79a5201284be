"""Caches of unlike layers under one shape, and how long a text one table of positions serves."""

from __future__ import annotations

import json

import pytest
import torch

from compress.decoder.traced import Shape, write_settings

UNLIKE = Shape(((2, 8), (2, 16), (4, 8), (1, 8)))


def test_keys_and_values_are_filled_up_to_the_largest_and_cut_again():
    own = [torch.rand(3, heads, 5, width) for heads, width in UNLIKE.own]
    fed = UNLIKE.filled_up(own)
    assert {tuple(one.shape) for one in fed} == {(3, 4, 5, 16)}
    assert sum(float(one.sum()) for one in fed) == pytest.approx(sum(float(one.sum()) for one in own))
    assert all(torch.equal(a, b) for a, b in zip(UNLIKE.cut(fed), own, strict=True))
    assert UNLIKE.layers == 2


def test_like_ones_stay_the_same_tensors():
    own = [torch.rand(1, 2, 3, 8) for _ in range(2)]
    found = Shape(((2, 8), (2, 8))).filled_up(own)
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
