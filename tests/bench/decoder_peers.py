"""What the peers make of a decoder, each as its documentation shows, in a process of its own.

python -m tests.bench.decoder_peers NAME FOLDER_OF_THE_MODEL OUT TEXT

Writes `OUT/cost.json`, too: CPU seconds and the peak of memory of making alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from compress.measure.memory import peak_rss_bytes

Dense = Callable[[], dict[str, Any]]
"""Gives the values of every parameter of what was made, by its name."""


def genai_int4(model: Path, out: Path, text: Path, *, block: int = 32) -> None:
    """ONNX Runtime GenAI's builder at int4, which looks at no data."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    words = [f"block_size={block}"]
    options = parse_extra_options("", str(model), str(out), "int4", "cpu", str(out / "cache"), words)
    create_model("", str(model), str(out), "int4", "cpu", str(out / "cache"), **options)


def genai_int4_128(model: Path, out: Path, text: Path) -> None:
    """The same at block 128."""
    genai_int4(model, out, text, block=128)


def llm_compressor(model: Path, out: Path, text: Path) -> Dense:
    """llm-compressor's GPTQ, W4A16 as its documentation shows, but 32 windows of 512 and groups of 64: it
    refuses 128 where a matrix has 576 columns.
    """
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier
    from transformers import AutoModelForCausalLM

    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 64}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    module = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    oneshot(
        model=module,
        dataset=Dataset.from_list(_windows(model, text)),
        recipe=GPTQModifier(config_groups=groups, ignore=["lm_head"]),
        max_seq_length=512,
        num_calibration_samples=32,
    )
    values = module.state_dict()  # compressing gives the module others
    module.save_pretrained(out, save_compressed=True)
    return lambda: values


def gptqmodel(model: Path, out: Path, text: Path) -> Dense:
    """GPTQModel's GPTQ as its documentation shows, on a processor, with the same windows and groups."""
    # of two cores it takes one worker itself, and then refuses to start for want of a second
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

    windows = _windows(model, text)
    words: dict[str, Any] = {"device": "cpu", "backend": BACKEND.GPTQ_TORCH}
    found = GPTQModel.load(str(model), QuantizeConfig(bits=4, group_size=64), **words)
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(out):  # it writes a log where it is started
        found.quantize(windows, batch_size=1)
    found.save(str(out))

    def dense() -> dict[str, Any]:
        read = GPTQModel.load(str(out), **words).model
        layers = {name: one for name, one in read.named_modules() if hasattr(one, "qweight")}
        values = {f"{name}.weight": one.dequantize_weight().T for name, one in layers.items()}
        return read.state_dict() | values

    return dense


def _windows(model: Path, text: Path) -> list[dict[str, list[int]]]:
    """32 windows of 512 tokens from all over the text."""
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(model)(text.read_text(encoding="utf8"))["input_ids"]
    starts = np.linspace(0, len(ids) - 513, 32).astype(int)
    return [{"input_ids": ids[at : at + 512], "attention_mask": [1] * 512} for at in starts]


def _save_dense(model: Path, out: Path, values: dict[str, Any]) -> None:
    """The model with these values, in fp32, which anything reads, as `out/dense`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dense = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    dense.load_state_dict({name: values[name].float() for name in dense.state_dict()})
    dense.save_pretrained(out / "dense")
    AutoTokenizer.from_pretrained(model).save_pretrained(out / "dense")


Maker = Callable[[Path, Path, Path], Dense | None]
PEERS: dict[str, Maker] = {
    "GenAI int4, block 32": genai_int4,
    "GenAI int4, block 128": genai_int4_128,
}
_MAKERS: dict[str, tuple[str, Maker]] = {
    "llmcompressor": ("llm-compressor GPTQ, group 64", llm_compressor),
    "gptqmodel": ("GPTQModel, group 64", gptqmodel),
}
CHECKPOINTS = dict(maker for package, maker in _MAKERS.items() if find_spec(package))
"""Those that make no graph, where they are installed. What they made lies in `OUT/dense`, too, in fp32."""


def main(name: str, model: Path, out: Path, text: Path) -> None:
    dense = {**PEERS, **CHECKPOINTS}[name](model, out, text)
    cost = {"cpu_seconds": sum(os.times()[:4]), "peak_rss_bytes": peak_rss_bytes()}
    (out / "cost.json").write_text(json.dumps(cost), encoding="utf8")
    if dense:
        _save_dense(model, out, dense())


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
