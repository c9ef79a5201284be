"""This project beside its peers on a decoder, in one run: size, perplexity, speed, cost of making.

    python -m tests.bench.decoder MODEL --calibration valid.txt --data test.txt [--seconds 120]
        [--recipes gptq-int4,gptq-int4-64] [--out FOLDER]

CPU seconds and the peak of memory are of making alone, this project's with export and checks. Perplexity is
on windows of `--data` (text that no calibration saw), of what each artifact's own graph gives. Times are in
turn. Peers that are not installed are left out. `--out` keeps what was made, for `tests.bench.llamacpp`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from compress.core.artifact import ArtifactKind, Silent
from compress.core.cores import usable_cores
from compress.core.profile import load_profile
from compress.graph.session import GENAI, open_runner
from compress.measure.latency import interleave, ratio
from compress.measure.processes import Contender
from compress.measure.torch_runner import TorchRunner
from compress.pipeline.workloads import DECODE, PREFILL, feeds_of, workloads_of
from compress.runtime.preprocess import load_preprocessor
from compress.runtime.tokenizer import load_tokenizer
from tests.bench.decoder_peers import CHECKPOINTS, PEERS
from tests.bench.encoder import Made, measured

WINDOW = 512
TORCH = "PyTorch fp32"
CHECKPOINT = "checkpoint"
"""What runs on no processor: judged by its dense copy, and not timed."""


def make_all(model: Path, recipes: list[str], texts: tuple[Path, Path], work: Path) -> list[Made]:
    """What is compared; `texts` are those to calibrate on and to judge."""
    made = [Made(TORCH, model / "model.safetensors", "torch")]
    for index, name in enumerate([*PEERS, *CHECKPOINTS]):
        out = work / f"peer{index}"
        words = [name, str(model), str(out), str(texts[0])]
        command = [sys.executable, "-m", "tests.bench.decoder_peers", *words]
        graph = name in PEERS
        file, runtime = ("model.onnx", GENAI) if graph else ("model.safetensors", CHECKPOINT)
        measured(name, out / file, runtime, command)
        cost = json.loads((out / "cost.json").read_text(encoding="utf8"))
        made.append(Made(name, out / file, runtime, cost["cpu_seconds"], cost["peak_rss_bytes"]))
    return made + [ours(model, recipe, texts, work) for recipe in recipes]


def ours(model: Path, recipe: str, texts: tuple[Path, Path], work: Path) -> Made:
    """`compress run`, whose report says what each step cost."""
    out = work / recipe
    words = ["--calibration", str(texts[0]), "--data", str(texts[1]), "--recipe", recipe]
    words += ["--max-drop", "10x", "--seconds", "1", "--limit", "80"]
    command = [sys.executable, "-m", "compress", "run", str(model), *words, "--out", str(out), "-q"]
    measured(recipe, out, GENAI, command)
    steps = json.loads((out / "report.json").read_text(encoding="utf8"))["steps"]
    own = [step for step in steps if step["config"]["recipe"] == recipe]
    seconds, peak = sum(step["cpu_seconds"] for step in own), max(step["peak_rss_bytes"] for step in own)
    return Made(f"compress {recipe}", out / "model.onnx", GENAI, seconds, peak)


def perplexities(made: list[Made], model: Path, text: Path, windows: int) -> dict[str, float]:
    """exp of the mean negative log likelihood over whole windows, of each artifact."""
    ids = load_tokenizer(model).encode(text.read_text(encoding="utf8"), add_special_tokens=False).ids
    count = min(windows, len(ids) // WINDOW)
    parts = np.array(ids[: count * WINDOW], dtype=np.int64).reshape(count, WINDOW)
    return {one.name: math.exp(_nats(one, model, parts)) for one in made}


def _nats(one: Made, model: Path, parts: np.ndarray) -> float:
    folders = {"torch": model, CHECKPOINT: one.path.parent / "dense"}
    folder = folders.get(one.runtime)
    runner = TorchRunner(folder, "text-generation") if folder else open_runner(one.path)
    total = 0.0
    for part in parts:
        logits = runner.run({"input_ids": part[None], "attention_mask": np.ones((1, WINDOW), np.int64)})
        values = logits["logits"][0, :-1].astype(np.float64)
        values -= values.max(axis=-1, keepdims=True)
        chances = values - np.log(np.exp(values).sum(axis=-1, keepdims=True))
        total -= float(chances[np.arange(WINDOW - 1), part[1:]].sum())
    return total / (len(parts) * (WINDOW - 1))


def race(made: list[Made], model: Path, seconds: float):
    workloads = workloads_of(load_profile("cpu"), ArtifactKind.GENAI)
    runner = open_runner(made[-1].path)
    preprocessor = load_preprocessor(made[-1].path.parent, task="text-generation", inputs=runner.inputs)
    contenders = [
        Contender(
            name=one.name,
            model=model if one.runtime == "torch" else one.path.parent,
            runtime=one.runtime,
            task="text-generation",
            threads=usable_cores(),
        )
        for one in made
        if one.runtime != CHECKPOINT
    ]
    feeds = feeds_of(workloads, preprocessor)
    timings = interleave(contenders, feeds, progress=Silent(), budget_s=seconds)
    return timings, feeds[PREFILL]["input_ids"].size


def speeds(timings, name: str) -> list[str]:
    """Prefill and decode against PyTorch, and tokens a second."""
    found = [
        ratio(timings, baseline=TORCH, contender=name, workload=workload) for workload in (PREFILL, DECODE)
    ]
    rate = timings.throughput(name, DECODE, batch=1)
    return [*(f"{one.value:.2f}x ({one.low:.2f}-{one.high:.2f})" for one in found), f"{rate:.1f}"]


def show(made: list[Made], scores: dict[str, float], timings, tokens: int) -> None:
    table = Table("what", "MB", "perplexity", "CPU s", "peak MB", "prefill", "decode", "decode tok/s")
    for one in made:
        table.add_row(
            one.name,
            f"{one.size_bytes / 1e6:.1f}",
            f"{scores[one.name]:.2f} ({scores[one.name] / scores[TORCH]:.3f}x)",
            f"{one.seconds:.0f}",
            f"{one.peak_bytes / 1e6:.0f}",
            *(["-"] * 3 if one.runtime == CHECKPOINT else speeds(timings, one.name)),
        )
    console = Console(width=150)
    console.print(table)
    console.print(f"prompt of {tokens} tokens; ratios to {TORCH}; {'; '.join(timings.noise)}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipes", default="gptq-int4,gptq-int4-64,gptq-int4-128,round-int4")
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    if words.out:
        run(words, words.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(words, Path(folder))


def run(words: argparse.Namespace, folder: Path) -> None:
    made = make_all(words.model, words.recipes.split(","), (words.calibration, words.data), folder)
    scores = perplexities(made, words.model, words.data, words.windows)
    timings, tokens = race(made, words.model, words.seconds)
    show(made, scores, timings, tokens)


if __name__ == "__main__":
    main()
