"""What the peers make of a decoder, each as its documentation shows, in a process of its own.

python -m tests.bench.decoder_peers NAME FOLDER_OF_THE_MODEL OUT TEXT
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np


def genai_int4(model: Path, out: Path, text: Path, *, block: int = 32) -> None:
    """ONNX Runtime GenAI's builder at int4, which looks at no data."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    words = [f"block_size={block}"]
    options = parse_extra_options("", str(model), str(out), "int4", "cpu", str(out / "cache"), words)
    create_model("", str(model), str(out), "int4", "cpu", str(out / "cache"), **options)


def genai_int4_128(model: Path, out: Path, text: Path) -> None:
    """The same at block 128."""
    genai_int4(model, out, text, block=128)


def llm_compressor(model: Path, out: Path, text: Path) -> None:
    """llm-compressor's GPTQ, W4A16 as its documentation shows, but 32 windows of 512 and groups of 64: it
    refuses 128 where a matrix has 576 columns. In `out`: its checkpoint, and `dense`, which anything reads.
    """
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.quantization import GPTQModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = tokenizer(text.read_text(encoding="utf8"))["input_ids"]
    starts = np.linspace(0, len(ids) - 513, 32).astype(int)
    windows = [{"input_ids": ids[at : at + 512], "attention_mask": [1] * 512} for at in starts]
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 64}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    module = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    oneshot(
        model=module,
        dataset=Dataset.from_list(windows),
        recipe=GPTQModifier(config_groups=groups, ignore=["lm_head"]),
        max_seq_length=512,
        num_calibration_samples=32,
    )
    dense = AutoModelForCausalLM.from_pretrained(model, dtype="float32")
    found = module.state_dict()
    dense.load_state_dict({name: found[name] for name in dense.state_dict()})
    dense.save_pretrained(out / "dense")
    tokenizer.save_pretrained(out / "dense")
    module.save_pretrained(out, save_compressed=True)


PEERS = {
    "GenAI int4, block 32": genai_int4,
    "GenAI int4, block 128": genai_int4_128,
}
CHECKPOINTS = {"llm-compressor GPTQ, group 64": llm_compressor} if find_spec("llmcompressor") else {}
"""Those that make no graph."""

if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    {**PEERS, **CHECKPOINTS}[name](*(Path(path) for path in paths))
