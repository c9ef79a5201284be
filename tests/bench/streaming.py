"""Peak memory of quantizing and exporting a large decoder, on synthetic models that are written to disk.

    python -m tests.bench.streaming --shape 1b [--layers 6] [--windows 4] [--length 128] [--folder PLACE]

A Llama of random bfloat16 weights is written block by block (never whole in memory), then `quantize.gptq`
and `export.genai` run in processes of their own, as `compress run` runs them. Prints the peak resident memory
and the processor time of each. `--layers` shows that the peak grows with the largest block, not with depth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from compress.core.allocator import with_tuned_allocator
from tests import tiny

SHAPES: dict[str, dict[str, int]] = {
    "1b": dict(hidden_size=2048, intermediate_size=5632, num_hidden_layers=24, num_attention_heads=16),
    "7b": dict(hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32),
}
VOCABULARY = 32_000


def write(folder: Path, shape: dict[str, int]) -> int:
    """A checkpoint of one file a block; returns the number of its parameters."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=4096, architectures=["LlamaForCausalLM"],
        dtype="bfloat16", pad_token_id=0, bos_token_id=2, eos_token_id=3, **shape,
    )  # fmt: skip
    folder.mkdir(parents=True)
    tiny.tokenizer(folder)
    config.save_pretrained(folder)
    with torch.device("meta"):
        parameters = dict(transformers.LlamaForCausalLM(config).named_parameters())
    files: dict[str, list[str]] = {}
    for name in parameters:
        files.setdefault(_file(name), []).append(name)
    for number, (file, names) in enumerate(files.items()):
        generator = torch.Generator().manual_seed(number)
        save_file({name: _random(parameters[name].shape, generator) for name in names}, folder / file)
    index = {"metadata": {}, "weight_map": {name: _file(name) for name in parameters}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return sum(parameter.numel() for parameter in parameters.values())


def _file(name: str) -> str:
    parts = name.split(".")
    return f"block-{int(parts[2]):05}.safetensors" if parts[1] == "layers" else "outer.safetensors"


def _random(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0, shape[-1] ** -0.5, generator=generator)


def step(name: str, source: Path, folder: Path, config: dict[str, Any], windows: tuple[int, int]) -> None:
    """Run one step in this process, and print what it took."""
    import resource

    from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
    from compress.passes.export import genai
    from compress.passes.quantize import gptq
    from tests.unit.graphs import PROFILE

    module: Any = {"quantize.gptq": gptq, "export.genai": genai}[name]
    kind = ArtifactKind.CHECKPOINT if name == "quantize.gptq" else ArtifactKind.QUANTIZED
    tokens = np.random.default_rng(0).integers(5, VOCABULARY, windows)
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(
        folder=folder, calibration=Fixed(windows=tokens), profile=PROFILE, progress=Silent(),
        work=folder.parent / f"{folder.name}-work",
    )  # fmt: skip
    artifact = Artifact(kind=kind, folder=source, task="text-generation")
    module.apply(artifact, module.Config(**config), context)
    used = resource.getrusage(resource.RUSAGE_SELF)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    seconds = used.ru_utime + used.ru_stime
    print(f"{name}: peak {used.ru_maxrss / 1024:,.0f} MiB, {seconds:,.0f} CPU s, {size / 1e6:,.0f} MB")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="1b")
    parser.add_argument("--layers", type=int, help="another number of blocks")
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--sweeps", type=int, default=0, help="of coordinate descent after GPTQ")
    parser.add_argument("--folder", type=Path, help="where to write; a killed run goes on there")
    parser.add_argument("--step", nargs=3, metavar=("NAME", "SOURCE", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def run(options: argparse.Namespace, root: Path) -> None:
    shape = dict(SHAPES[options.shape])
    shape["num_hidden_layers"] = options.layers or shape["num_hidden_layers"]
    model = root / "model"
    if not (model / "model.safetensors.index.json").exists():
        print(f"{write(model, shape) / 1e9:.2f} billion parameters, {shape}", flush=True)
    chain = [
        ("quantize.gptq", model, root / "quantized"),
        ("export.genai", root / "quantized", root / "graph"),
    ]
    for name, source, folder in chain:
        words = [*sys.argv[1:], "--step", name, str(source), str(folder)]
        command = [sys.executable, "-m", "tests.bench.streaming", *words]
        subprocess.run(command, env=with_tuned_allocator(os.environ), check=True)


def main() -> None:
    options = arguments()
    if options.step:
        name, source, folder = options.step
        config = {} if name != "quantize.gptq" else {"sweeps": options.sweeps, "minimum_rows": 1}
        step(name, Path(source), Path(folder), config, (options.windows, options.length))
    elif options.folder:
        run(options, options.folder)
    else:
        with tempfile.TemporaryDirectory() as name:
            run(options, Path(name))


if __name__ == "__main__":
    main()
