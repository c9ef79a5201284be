import pytest

from compress.core.errors import CompressError
from compress.model.sizes import text_sizes


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 32},
            (3, 4, 4, 64, 16, 32),
        ),
        ({"model_type": "bloom", "hidden_size": 64, "n_head": 4, "n_layer": 3}, (3, 4, 4, 64, 16, 0)),
        (
            {"model_type": "xglm", "d_model": 64, "attention_heads": 4, "num_layers": 3},
            (3, 4, 4, 64, 16, 2048),
        ),
        (
            {
                "model_type": "qwen3",
                "hidden_size": 64,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 32,
                "num_hidden_layers": 3,
            },
            (3, 4, 2, 64, 32, 32768),
        ),
    ],
)
def test_sizes_are_found_under_each_models_names(config, expected):
    found = text_sizes(config)
    assert (
        found.layers,
        found.heads,
        found.kv_heads,
        found.hidden,
        found.head,
        found.positions,
    ) == expected


def test_what_text_is_read_by_counts():
    config = {"model_type": "gemma3", "text_config": {"hidden_size": 96, "num_hidden_layers": 5}}
    assert (text_sizes(config).hidden, text_sizes(config).layers) == (96, 5)


def test_layers_may_differ():
    layers = {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}
    config = {"model_type": "gemma4_text", "hidden_size": 64, "head_dim": 16, "global_head_dim": 48, **layers}
    assert (text_sizes(config).layers, text_sizes(config).head) == (2, 48)


def test_numbers_that_json_lacks_are_read():
    config = {"model_type": "granitemoehybrid", "hidden_size": 64, "num_attention_heads": 4}
    limits = [0.0, {"__float__": "Infinity"}]
    assert text_sizes({**config, "time_step_limit": limits}).head == 16


def test_an_unknown_kind_is_named():
    with pytest.raises(CompressError, match="nosuch"):
        text_sizes({"model_type": "nosuch"})
