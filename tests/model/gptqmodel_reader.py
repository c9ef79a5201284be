"""A process that reads checkpoints with GPTQModel, which changes transformers' classes where it is imported.

    python gptqmodel_reader.py IDS CHECKPOINT ...

IDS: int64 (B, T) as .npy. Beside each checkpoint `read.safetensors`: the fp16 values of each quantized layer
(N, K), by its name, and `logits` (B, T, V).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from gptqmodel import BACKEND, GPTQModel
from safetensors.torch import save_file


def read(folder: Path, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    model = GPTQModel.load(str(folder), backend=BACKEND.TORCH, device="cpu", dtype=torch.float16).model
    layers = {name: one for name, one in model.named_modules() if hasattr(one, "qweight")}
    values = {name: one.dequantize_weight().T.contiguous() for name, one in layers.items()}
    with torch.inference_mode():
        return values | {"logits": model(input_ids=ids).logits.clone()}


if __name__ == "__main__":
    tokens = torch.from_numpy(np.load(sys.argv[1]))
    with torch.compiler.set_stance("force_eager"):  # its layers compile themselves, for minutes
        for name in sys.argv[2:]:
            save_file(read(Path(name), tokens), Path(name).parent / "read.safetensors")
