import pytest

from compress.model.rounding import is_gate


@pytest.mark.parametrize(
    ("shape", "gate"),
    [
        ((16, 1024), True),  # decays of Qwen3.5-0.8B
        ((1, 2048), True),  # the weight of a shared expert
        ((2048, 1), True),  # the same, as GPT-2 stores matrices
        ((64, 2048), True),
        ((64, 1024), False),
        ((65, 4096), False),
        ((256, 2048), False),  # keys of one head
        ((32, 64), False),
        ((2048,), False),
        ((8, 16, 1024), False),  # experts
    ],
)
def test_few_numbers_of_many_are_a_gate(shape, gate):
    assert is_gate(shape) is gate
