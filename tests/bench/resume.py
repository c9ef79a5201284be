"""Kill a run of quantize.gptq at random moments, 20 times, and compare what comes of it.

    python -m tests.bench.resume [kills] [blocks]

A process is killed (SIGKILL) after a random part of the time that a whole run takes; the next goes on in the
same work folder. At the end the bytes of every file are compared, and each block's number of beginnings told.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests import tiny


def quantize(source: Path, folder: Path, work: Path) -> None:
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
    windows = np.random.default_rng(0).integers(5, 150, (64, 64))
    context = Context(
        folder=folder, calibration=Fixed(windows=windows), profile=PROFILE, progress=Silent(), work=work
    )
    checkpoint = Artifact(kind=ArtifactKind.CHECKPOINT, folder=source, task="text-generation")
    gptq.apply(checkpoint, gptq.Config(group_size=16, minimum_elements=0), context)


def started(source: Path, folder: Path, work: Path) -> subprocess.Popen[bytes]:
    words = ["--run", str(source), str(folder), str(work)]
    return subprocess.Popen([sys.executable, "-m", "tests.bench.resume", *words])


def main(kills: int, blocks: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        kind, values, task = tiny.ARCHITECTURES["llama"]
        tiny.ARCHITECTURES["llama"] = (kind, {**values, "num_hidden_layers": blocks}, task)
        tiny.build("llama", root / "model")
        (root / "whole").mkdir()
        start = time.perf_counter()
        assert started(root / "model", root / "whole" / "out", root / "whole" / "work").wait() == 0
        seconds = time.perf_counter() - start
        differing, again = attempts(root, kills, seconds)
        print(f"{kills} kills: {differing} files differ; blocks begun more often than runs explain: {again}")


def attempts(root: Path, kills: int, seconds: float) -> tuple[int, int]:
    """Runs that are killed over and over until so many kills are spent; the last is left alone."""
    randomness = random.Random(0)
    chain = differing = excess = 0
    while kills > 0:
        chain += 1
        folder = root / f"chain{chain}"
        folder.mkdir()
        tries = 0
        while True:
            process = started(root / "model", folder / f"out{tries}", folder / "work")
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
    if sys.argv[1:2] == ["--run"]:
        quantize(*(Path(word) for word in sys.argv[2:5]))
    else:
        main(*[int(word) for word in sys.argv[1:]] or (20, 12))
