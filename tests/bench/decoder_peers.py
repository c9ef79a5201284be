"""What the peers make of a decoder, each as its documentation shows, in a process of its own.

python -m tests.bench.decoder_peers NAME FOLDER_OF_THE_MODEL OUT TEXT
"""

from __future__ import annotations

import sys
from pathlib import Path


def genai_int4(model: Path, out: Path, text: Path, *, block: int = 32) -> None:
    """ONNX Runtime GenAI's builder at int4, which looks at no data."""
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    words = [f"block_size={block}"]
    options = parse_extra_options("", str(model), str(out), "int4", "cpu", str(out / "cache"), words)
    create_model("", str(model), str(out), "int4", "cpu", str(out / "cache"), **options)


def genai_int4_128(model: Path, out: Path, text: Path) -> None:
    """The same at block 128."""
    genai_int4(model, out, text, block=128)


PEERS = {
    "GenAI int4, block 32": genai_int4,
    "GenAI int4, block 128": genai_int4_128,
}

if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    PEERS[name](*(Path(path) for path in paths))
