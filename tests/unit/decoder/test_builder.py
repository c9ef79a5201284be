from types import SimpleNamespace

import pytest

from compress.decoder.builder import _thirds, is_built

QWEN = {
    "architectures": ["Qwen3_5ForCausalLM"],
    "head_dim": 256,
    "hidden_size": 1024,
    "num_attention_heads": 8,
    "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.25},
}


@pytest.mark.parametrize(("share", "parts"), [(0.25, [12, 10, 10]), (1.0, [44, 42, 42])])
def test_rotated_pairs_are_parted_whole(share, parts):
    config = SimpleNamespace(head_dim=256, rope_parameters={"partial_rotary_factor": share})
    assert _thirds(config) == parts
    assert sum(parts) == 256 * share // 2


@pytest.mark.parametrize(
    ("changes", "built"),
    [
        ({}, True),
        ({"head_dim": 32}, False),  # eight channels are rotated, and kernels take multiples of sixteen
        ({"architectures": ["Qwen3NextForCausalLM"]}, False),
        ({"rope_parameters": {"rope_type": "longrope"}}, False),
    ],
)
def test_what_the_builder_knows(changes, built):
    assert is_built({**QWEN, **changes}) is built
