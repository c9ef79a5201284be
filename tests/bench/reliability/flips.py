"""Flip bits in the cache and see that none is published.

    python -m tests.bench.reliability.flips [--flips 200] [--seed 0]

Before each run one bit of one file in the cache is flipped: of a finished step, of its seal, or (every fifth)
of what a killed GPTQ step had finished. What the run publishes must be what the first one did.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from compress.core.paths import folder_digest
from tests.bench.reliability import forked, jobs


@dataclass
class Count:
    """What was seen; `published` counts artifacts that are not what they should be."""

    flips: int = 0
    published: int = 0
    failed: int = 0
    told: int = 0


def flip(path: Path, randomness: random.Random) -> None:
    """Flip a bit of a file that is not empty."""
    path.chmod(0o644)
    with path.open("r+b") as stream:
        at = randomness.randrange(path.stat().st_size)
        stream.seek(at)
        value = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([value ^ (1 << randomness.randrange(8))]))


def run(job: jobs.Job, root: Path) -> int:
    """Run a job on the cache in `root`; its process's id."""
    os.environ["COMPRESS_CACHE"] = str(root / "cache")
    shutil.rmtree(root / "artifacts", ignore_errors=True)
    progress = jobs.Blocks(root / "notes")
    return forked.start(lambda: job.run(root / "artifacts" / "out", progress=progress), root / "log")


def half_done(job: jobs.Job, root: Path) -> Path:
    """A cache with a GPTQ step that was killed when half of its blocks were finished."""
    root.mkdir()
    pid = run(job, root)
    while not any((root / "cache" / "steps").glob(f"*.work/block-{jobs.BLOCKS // 2:05}.safetensors")):
        time.sleep(0.005)
    os.killpg(pid, signal.SIGKILL)
    forked.exit_code(pid)
    return root / "cache"


def check(job: jobs.Job, root: Path, count: Count, *, expected: str) -> None:
    """Run a job on a damaged cache, and count what comes of it."""
    (root / "notes").write_text("")
    count.flips += 1
    count.failed += forked.exit_code(run(job, root)) != 0
    out = root / "artifacts" / "out"
    count.published += out.exists() and folder_digest(out) != expected
    count.told += "is damaged" in (root / "notes").read_text()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    randomness, count = random.Random(options.seed), Count()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        found = jobs.prepare(root / "models")
        expected = {}
        for kind, job in found.items():
            (root / kind).mkdir()
            assert forked.exit_code(run(job, root / kind)) == 0
            expected[kind] = folder_digest(root / kind / "artifacts" / "out")
        half = half_done(found["gptq"], root / "half")
        for number in range(options.flips):
            kind = "gptq" if number % 5 == 4 else ("encoder", "gptq")[number % 2]
            cache = root / kind / "cache"
            if number % 5 == 4:
                shutil.rmtree(cache)
                shutil.copytree(half, cache)
            files = [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size]
            flip(randomness.choice(sorted(files)), randomness)
            check(found[kind], root / kind, count, expected=expected[kind])
            if number % 20 == 19:
                print(count, flush=True)
    print("all", count)


if __name__ == "__main__":
    main()
