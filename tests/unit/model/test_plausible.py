"""Configurations of far larger models than are stored are refused; those of any real model are not."""

from __future__ import annotations

import json

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from compress.core.checkpoint_files import ConfigFile
from compress.core.errors import CompressError
from compress.core.schema import validated
from compress.model.headers import TensorHeader
from compress.model.plausible import refuse_implausible


def header(*shape: int) -> TensorHeader:
    return TensorHeader("F32", shape, 0, 0)


STORED = {
    "embeddings.weight": header(160, 32),
    "encoder.layer.0.w": header(32, 32),
    "encoder.layer.1.w": header(64, 32),
}
NAMES = (
    "bert",
    "albert",
    "gpt2",
    "llama",
    "llama4_text",
    "whisper",
    "swin",
    "resnet",
    "t5",
    "qwen3_moe",
    "clip",
    "mpt",
)


@pytest.mark.parametrize("name", NAMES)
def test_what_transformers_takes_by_default_fits(name: str) -> None:
    values = json.loads(CONFIG_MAPPING[name]().to_json_string(use_diff=False))
    refuse_implausible(values, STORED)
    validated(ConfigFile, values, where=name)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"num_hidden_layers": 10**6}, "num_hidden_layers"),
        ({"n_layer": 10**6}, "n_layer"),
        ({"encoder_layers": 10**6}, "encoder_layers"),
        ({"text_config": {"num_hidden_layers": 10**6}}, "text_config.num_hidden_layers"),
        ({"depths": [1, 10**6]}, "depths"),
        ({"hidden_size": 10**9}, "hidden_size"),
        ({"vocab_size": 10**12}, "vocab_size"),
        ({"num_experts": 10**7}, "num_experts"),
        ({"num_labels": 10**6}, "num_labels"),
        ({"max_position_embeddings": 10**9}, "max_position_embeddings"),
    ],
)
def test_what_no_checkpoint_of_these_tensors_has_is_refused(values: dict[str, object], key: str) -> None:
    with pytest.raises(CompressError, match=f"config.json has {key} ") as caught:
        refuse_implausible(values, STORED)
    assert caught.value.code == "config-implausible"


def test_a_layer_may_be_shared_and_metadata_may_be_large() -> None:
    refuse_implausible({"num_hidden_layers": 12, "num_parameters": 10**12, "rope_theta": 5 * 10**8}, STORED)
