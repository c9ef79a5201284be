"""What the peers make of an encoder, each as its documentation shows, in a process of its own.

python -m tests.bench.peers NAME FOLDER_OF_THE_MODEL SOURCE_GRAPH OUT TEXTS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def export_plain(model: Path, source: Path, out: Path, texts: list[str]) -> None:
    """`torch.onnx.export(dynamo=True)` and nothing else."""
    import torch
    from transformers import AutoModel

    class Hidden(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, input_ids, attention_mask, token_type_ids):
            return self.module(input_ids, attention_mask, token_type_ids).last_hidden_state

    names = ("input_ids", "attention_mask", "token_type_ids")
    example = (torch.ones(2, 16, dtype=torch.int64), torch.ones(2, 16, dtype=torch.int64))
    axes = {0: "batch", 1: "sequence"}
    program = torch.onnx.export(
        Hidden(AutoModel.from_pretrained(model).eval()),
        (*example, torch.zeros(2, 16, dtype=torch.int64)),
        dynamo=True,
        input_names=list(names),
        output_names=["last_hidden_state"],
        dynamic_shapes=dict.fromkeys(names, axes),
        verbose=False,
    )
    program.save(str(out))


def ort_dynamic(model: Path, source: Path, out: Path, texts: list[str]) -> None:
    """ONNX Runtime's quantize_dynamic with its defaults."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, out, weight_type=QuantType.QInt8)


def ort_dynamic_tuned(model: Path, source: Path, out: Path, texts: list[str]) -> None:
    """The same with one scale for each channel, as optimum's configurations choose."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, out, weight_type=QuantType.QInt8, per_channel=True)


def nncf_int8(model: Path, source: Path, out: Path, texts: list[str]) -> None:
    """NNCF's post-training quantization for transformers, 300 texts."""
    import nncf
    import openvino
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    graph = openvino.Core().read_model(source)
    names = {port.get_any_name() for port in graph.inputs}

    def encode(text: str) -> dict[str, np.ndarray]:
        found = tokenizer(text, truncation=True, max_length=128, return_tensors="np")
        return {name: array for name, array in found.items() if name in names}

    calibration = nncf.Dataset(texts[:300], encode)
    made = nncf.quantize(graph, calibration, model_type=nncf.ModelType.TRANSFORMER, subset_size=300)
    openvino.save_model(made, out)


PEERS = {
    "plain export": export_plain,
    "ORT dynamic int8, defaults": ort_dynamic,
    "ORT dynamic int8, per channel": ort_dynamic_tuned,
    "OpenVINO + NNCF int8": nncf_int8,
}

if __name__ == "__main__":
    name, model, source, out, texts = sys.argv[1:]
    PEERS[name](Path(model), Path(source), Path(out), Path(texts).read_text(encoding="utf8").splitlines())
