import numpy as np
import torch

from compress.model.statistics import InputStatistics


class Gated(torch.nn.Module):
    """Two matrices that share an input, and one after them; `calls` counts whole forwards."""

    def __init__(self, repeats: int = 1) -> None:
        super().__init__()
        self.up, self.gate = torch.nn.Linear(6, 8, bias=False), torch.nn.Linear(6, 8, bias=False)
        self.down = torch.nn.Linear(8, 6, bias=False)
        self.repeats, self.calls = repeats, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(self.repeats):
            x = self.down(torch.relu(self.gate(x)) * self.up(x))
        self.calls += 1
        return x


def gathered(module, windows):
    statistics = InputStatistics(dict(module.named_parameters()))
    with torch.inference_mode():
        for window in windows:
            statistics.watch(lambda window=window: module(window))
    return {one.weights[0].name: one for one in statistics.inputs}


def test_hessians_are_those_of_the_inputs_though_forwards_are_left_early():
    torch.manual_seed(0)
    module, windows = Gated(), torch.randn(5, 7, 6)
    found = gathered(module, windows)
    assert module.calls == 1
    assert {weight.name for weight in found["gate.weight"].weights} == {"gate.weight", "up.weight"}
    inputs = windows.reshape(-1, 6)
    inner = (torch.relu(module.gate(inputs)) * module.up(inputs)).detach()
    for name, rows in (("gate.weight", inputs), ("down.weight", inner)):
        wanted = (rows.T @ rows / len(rows)).numpy()
        np.testing.assert_allclose(found[name].hessian.matrix, wanted, rtol=1e-5, atol=1e-6)
        assert found[name].hessian.rows == 35


def test_matrices_that_are_read_twice_are_seen_twice_in_every_window():
    module, windows = Gated(repeats=2), torch.randn(3, 7, 6)
    found = gathered(module, windows)
    assert module.calls == 3
    assert found["down.weight"].hessian.rows == 3 * 7 * 2


def test_forwards_in_which_a_matrix_was_not_read_are_not_left_early():
    module, windows = Gated(), torch.randn(3, 7, 6)
    module.spare = torch.nn.Linear(6, 8)
    gathered(module, windows)
    assert module.calls == 3
