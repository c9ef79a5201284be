"""This project beside its peers on an encoder, in one run: size, accuracy, speed, cost of making.

    python -m tests.bench.encoder [--model demo] [--data pairs.csv] [--seconds 120] [--max-size 18MB]

Accuracy is Spearman on labelled pairs (`--data`), else fidelity on the shipped sample; it is scored on all
of the data, so give data that no recipe was chosen on. Times are interleaved; peers that are not installed
are left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from compress.core.artifact import Silent
from compress.core.cores import usable_cores
from compress.core.profile import load_profile
from compress.data.items import load_items
from compress.data.sample import sample_texts
from compress.graph.session import open_runner
from compress.measure.catalogue import choose_metric
from compress.measure.evaluate import evaluate
from compress.measure.latency import interleave, ratio
from compress.measure.processes import Contender
from compress.model.sources import demo_folder
from compress.runtime.preprocess import load_preprocessor
from tests.bench.peers import PEERS


@dataclass(frozen=True)
class Made:
    """A way to have the model: where it is, what runs it, and what making it cost."""

    name: str
    path: Path
    runtime: str
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def size_bytes(self) -> int:
        parts = [self.path, self.path.with_suffix(".bin"), Path(f"{self.path}.data")]
        return sum(part.stat().st_size for part in dict.fromkeys(parts) if part.is_file())


def measured(name: str, path: Path, runtime: str, command: list[str]) -> Made:
    """Run a command and note its wall time and the peak memory of its largest process."""
    start = time.perf_counter()
    timer = ["/usr/bin/env", "python3", "-c", _TIMER, *command]
    found = subprocess.run(timer, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{name}: {found.stderr[-2000:]}")
    peak = int(found.stderr.strip().splitlines()[-1])
    return Made(name, path, runtime, time.perf_counter() - start, peak)


_TIMER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def make_all(model: str, folder: Path, work: Path, extra: list[str]) -> list[Made]:
    texts = work / "texts.txt"
    texts.write_text("\n".join(sample_texts()), encoding="utf8")
    python = [sys.executable, "-m"]

    def peer(name: str, out: Path, runtime: str, source: Path) -> Made:
        words = [name, str(folder), str(source), str(out), str(texts)]
        return measured(name, out, runtime, [*python, "tests.bench.peers", *words])

    plain = peer("plain export", work / "plain.onnx", "onnxruntime", folder)
    made = [Made("PyTorch fp32", folder / "model.safetensors", "torch"), plain]
    made += [
        peer(name, work / f"peer{index}.onnx", "onnxruntime", plain.path)
        for index, name in enumerate(PEERS)
        if name.startswith("ORT")
    ]
    if find_spec("nncf") and find_spec("openvino"):
        made.append(peer("OpenVINO + NNCF int8", work / "nncf.xml", "openvino", plain.path))
    return made + [
        ours(model, work, index, words) for index, words in enumerate([[], *([extra] if extra else [])])
    ]


def ours(model: str, work: Path, index: int, words: list[str]) -> Made:
    out = work / f"ours{index}"
    command = [
        sys.executable,
        "-m",
        "compress",
        "run",
        model,
        "--target",
        "cpu",
        "--out",
        str(out),
        "-q",
        *words,
    ]
    made = measured(" ".join(["compress run", *words]), out / "model.onnx", "onnxruntime", command)
    manifest = json.loads((out / "compress.json").read_text())
    name = f"{made.name} ({manifest['recipe']['name']})"
    return Made(name, made.path, manifest["runtime"], made.seconds, made.peak_bytes)


def accuracies(made: list[Made], folder: Path, data: str | None) -> tuple[str, dict[str, float]]:
    items = load_items(data, task="feature-extraction", modality="text")
    metric = choose_metric("feature-extraction", labelled=items.labelled)
    reference, *others = [one for one in made if one.runtime != "torch"]
    runners = {one.name: open_runner(one.path, runtime=one.runtime) for one in others}
    first = open_runner(reference.path)
    scores = evaluate(
        metric,
        first,
        runners,
        folder=folder,
        task="feature-extraction",
        preprocess=load_preprocessor(folder, task="feature-extraction", inputs=first.inputs),
        rows=items.rows,
    )
    found = {name: score.result for name, score in scores.items()}
    baseline = next(iter(scores.values())).baseline
    return metric.name, {made[0].name: baseline, reference.name: baseline, **found}


def race(made: list[Made], folder: Path, seconds: float):
    profile = load_profile("cpu")
    contenders = [
        Contender(
            name=one.name,
            model=folder if one.runtime == "torch" else one.path,
            runtime=one.runtime,
            task="feature-extraction",
            threads=usable_cores(),
        )
        for one in made
    ]
    plain = next(one for one in made if one.name == "plain export")
    inputs = open_runner(plain.path).inputs
    preprocessor = load_preprocessor(folder, task="feature-extraction", inputs=inputs)
    feeds = {
        name: preprocessor.synthetic(batch=workload.batch, length=workload.length)
        for name, workload in profile.workloads.items()
    }
    return interleave(contenders, feeds, progress=Silent(), budget_s=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo")
    parser.add_argument("--data")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--max-size")
    words = parser.parse_args()
    folder = demo_folder() if words.model == "demo" else Path(words.model)
    with tempfile.TemporaryDirectory() as work:
        made = make_all(
            words.model, folder, Path(work), ["--max-size", words.max_size] if words.max_size else []
        )
        metric, found = accuracies(made, folder, words.data)
        timings = race(made, folder, words.seconds)
        Console(width=150).print(table(made, metric, found, timings))
        for sentence in timings.noise:
            print("note:", sentence)


def table(made: list[Made], metric: str, found: dict[str, float], timings) -> Table:
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for column in (
        "tool",
        "MB",
        metric,
        "change",
        "b1 ms",
        "b1 x",
        "b32 x",
        "b32 x of ORT fp32",
        "seconds",
        "peak MB",
    ):
        shown.add_column(column, overflow="fold")
    first, plain = made[0].name, made[1].name
    for one in made:

        def times(workload: str, baseline: str, name: str = one.name) -> str:
            found = ratio(timings, baseline=baseline, contender=name, workload=workload)
            return f"{found.value:.2f} ({found.low:.2f}-{found.high:.2f})"

        shown.add_row(
            one.name,
            f"{one.size_bytes / 1e6:.1f}",
            f"{found[one.name]:.4f}",
            f"{found[one.name] - found[first]:+.4f}",
            f"{timings.latency_ms(one.name, 'latency').p50:.1f}",
            times("latency", first),
            times("throughput", first),
            times("throughput", plain),
            f"{one.seconds:.0f}",
            f"{one.peak_bytes / 1e6:.0f}",
        )
    return shown


if __name__ == "__main__":
    main()
