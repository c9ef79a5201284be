"""GPTQModel reads what `export.gptq` writes: the same values in its layers, and the model's answers.

Run where it is installed (the `gptqmodel` extra), on a processor, with its `TorchLinear`.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compress.model.dequantize import load_dequantized
from compress.model.quantized import QuantizedCheckpoint
from tests.model.test_export_gptq import exported
from tests.model.test_gptq import WINDOWS, logits, quantized

CASES = {
    "2 bits, symmetric": ("llama-wide", {"bits": 2, "symmetric": True}),
    "3 bits": ("llama-wide", {"bits": 3}),
    "3 bits, symmetric": ("llama-wide", {"bits": 3, "group_size": 32, "symmetric": True}),
    "a short group": ("llama-wide", {"bits": 4, "group_size": 64}),  # of 96 columns
    "rows": ("llama-wide", {"bits": 4, "group_size": -1}),
    "8 bits": ("llama-wide", {"bits": 8, "group_size": 32}),
    "8 bits, symmetric": ("llama-wide", {"bits": 8, "group_size": 32, "symmetric": True}),
    "mixed bits": ("llama-wide", {"average_bits": 6, "choices": (4, 8), "probe_length": 32}),
    "one left": ("llama-wide", {"symmetric": True, "exclude": ("*0.self_attn.v_proj*",)}),
    "Conv1D": ("gpt2", {"bits": 4}),
    "experts": ("qwen3-moe", {"bits": 4, "symmetric": True}),
}

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(find_spec("gptqmodel") is None, reason="gptqmodel is not installed"),
]


@pytest.fixture(scope="module")
def read(tiny_models, tmp_path_factory):
    """The folder of each case, with `quantized/` and `out/read.safetensors`: one process reads them all."""
    root = tmp_path_factory.mktemp("gptqmodel")
    np.save(root / "ids.npy", WINDOWS[:2])
    folders = {case: root / str(number) for number, case in enumerate(CASES)}
    made = []
    for case, folder in folders.items():
        name, config = CASES[case]
        folder.mkdir()
        source = quantized(tiny_models(name), folder / "quantized", **config)
        made.append(exported(source, folder / "out", shard_bytes=40_000))
    reader = Path(__file__).with_name("gptqmodel_reader.py")
    subprocess.run([sys.executable, reader, root / "ids.npy", *made], check=True)
    return folders


def half_values(matrix):
    """As kernels compute in fp16: the difference is exact, the scale and the product are rounded."""
    spread = torch.arange(matrix.layout.shape[1]) // matrix.layout.group_size
    steps = matrix.codes.half() - matrix.zeros.half()[:, spread]
    return steps * matrix.scales.half()[:, spread]


@pytest.mark.parametrize("case", CASES)
def test_it_reads_the_same_values(case, read):
    checkpoint = QuantizedCheckpoint(read[case] / "quantized")
    found = load_file(read[case] / "out" / "read.safetensors")
    answers = found.pop("logits").float()
    assert {f"{name}.weight" for name in found} == set(checkpoint.layouts) - set(checkpoint.tables)
    for name, values in found.items():
        assert torch.equal(values, half_values(checkpoint.matrix(f"{name}.weight"))), name
    expected = logits(load_dequantized(checkpoint.folder, "text-generation"))
    assert float((answers - expected).abs().max()) < 0.005 * float(expected.abs().max())
