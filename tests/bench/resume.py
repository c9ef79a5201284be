"""Kill a run of quantize.gptq at random moments, 20 times, and compare what comes of it.

    python -m tests.bench.resume [--kills 20] [--model FOLDER] [--windows 8] [--length 128]

A process is killed (SIGKILL) after a random part of the time that a whole run takes; the next goes on in the
same work folder. At the end the bytes of every file are compared, and each block's number of beginnings told.
Without a model it is a tiny Llama of 12 blocks.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests import tiny


def quantize(source: Path, folder: Path, work: Path, shape: tuple[int, int]) -> None:
    """What the killed processes run."""
    from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
    from compress.model.blocks import BlockQuantizer
    from compress.passes.quantize import gptq
    from tests.unit.graphs import PROFILE

    run = BlockQuantizer.run

    def told(self, index: int) -> None:
        with (work.parent / "begun").open("a") as stream:
            stream.write(f"{index}\n")
        run(self, index)

    BlockQuantizer.run = told
    folder.mkdir()
    windows = np.random.default_rng(0).integers(5, 150, shape)
    context = Context(
        folder=folder, calibration=Fixed(windows=windows), profile=PROFILE, progress=Silent(), work=work
    )
    checkpoint = Artifact(kind=ArtifactKind.CHECKPOINT, folder=source, task="text-generation")
    gptq.apply(checkpoint, gptq.Config(group_size=16, minimum_elements=0), context)


def started(source: Path, folder: Path, work: Path) -> subprocess.Popen[bytes]:
    words = [*sys.argv[1:], "--run", str(source), str(folder), str(work)]
    return subprocess.Popen([sys.executable, "-m", "tests.bench.resume", *words])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--windows", type=int, default=64)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--run", nargs=3, type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(kills: int, model: Path | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if model is None:
            kind, values, task = tiny.ARCHITECTURES["llama"]
            tiny.ARCHITECTURES["llama"] = (kind, {**values, "num_hidden_layers": 12}, task)
            tiny.build("llama", root / "model")
        model = model or root / "model"
        (root / "whole").mkdir()
        start = time.perf_counter()
        assert started(model, root / "whole" / "out", root / "whole" / "work").wait() == 0
        seconds = time.perf_counter() - start
        differing, again = attempts(root, model, kills, seconds)
        print(f"{kills} kills: {differing} files differ; blocks begun more often than runs explain: {again}")


def attempts(root: Path, model: Path, kills: int, seconds: float) -> tuple[int, int]:
    """Runs that are killed over and over until so many kills are spent; the last is left alone."""
    randomness = random.Random(0)
    chain = differing = excess = 0
    while kills > 0:
        chain += 1
        folder = root / f"chain{chain}"
        folder.mkdir()
        tries = 0
        while True:
            process = started(model, folder / f"out{tries}", folder / "work")
            try:
                process.wait(randomness.uniform(0.3, 1.1) * seconds if kills > 0 else None)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills, tries = kills - 1, tries + 1
        begun = (folder / "begun").read_text().split()
        excess += max(0, len(begun) - len(set(begun)) - tries)
        differing += sum(
            path.read_bytes() != (folder / f"out{tries}" / path.name).read_bytes()
            for path in (root / "whole" / "out").iterdir()
        )
    return differing, excess


if __name__ == "__main__":
    options = arguments()
    if options.run:
        quantize(*options.run, (options.windows, options.length))
    else:
        main(options.kills, options.model)
