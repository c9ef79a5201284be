"""Kill runs at random moments and compare what comes of them in the end with a run that was left alone.

    python -m tests.bench.reliability.kills [--kills 300] [--seed 0]

A third of the kills goes to an encoder recipe, a third to a GPTQ recipe, both from an empty cache, and a
third to `--overwrite` of an artifact that is there. Half of them kill the whole process group, the others the
command alone, whose step lives on for a moment. After each kill what is published must be complete or as it
was, and no finished block is computed again by the next run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from compress.core.paths import folder_digest
from compress.pipeline.manifest import verify_folder
from tests.bench.reliability import forked, jobs

LATEST = 1.05
"""The latest kill, in times of what a run that is left alone takes."""


@dataclass
class Count:
    """What was seen; all but `kills` and `chains` is to be 0."""

    kills: int = 0
    chains: int = 0
    differing: int = 0
    incomplete: int = 0
    failed: int = 0
    blocks_lost: int = 0
    most_blocks_redone: int = 0
    litter: int = 0


@dataclass
class Chain:
    """A job that is run again after each kill, with a cache and an output of its own."""

    job: jobs.Job
    root: Path
    count: Count
    overwrite: bool = False
    expected: str = ""
    before: str = ""
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.root / "blocks"

    @property
    def out(self) -> Path:
        return self.root / "artifacts" / "out"

    def start(self) -> int:
        os.environ["COMPRESS_CACHE"] = str(self.root / "cache")
        progress = jobs.Blocks(self.log)
        run = lambda: self.job.run(self.out, overwrite=self.overwrite, progress=progress)  # noqa: E731
        return forked.start(run, self.root / "log")

    def kill(self, after: float, *, group: bool) -> bool:
        """Start a run and kill it; whether it was still running."""
        pid, deadline = self.start(), time.monotonic() + after
        while time.monotonic() < deadline:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.002)
        alive = not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if alive:
            (os.killpg if group else os.kill)(pid, signal.SIGKILL)
        code = forked.exit_code(pid)
        self.count.kills += alive
        self.count.failed += not alive and code != 0
        self.look()
        return alive

    def look(self) -> None:
        """Count what is published though it is neither whole nor what was there before."""
        if not self.out.exists():
            self.count.incomplete += self.overwrite
        elif folder_digest(self.out) not in (self.expected, self.before) or verify_folder(self.out):
            self.count.incomplete += 1

    def finish(self) -> None:
        """Leave a run alone, and count what differs and what is left over."""
        self.count.failed += forked.exit_code(self.start()) != 0
        self.look_after()

    def look_after(self) -> None:
        self.count.chains += 1
        self.count.differing += not self.out.exists() or folder_digest(self.out) != self.expected
        hidden = list(self.out.parent.glob(".*")) + list((self.root / "cache").glob("run.*"))
        steps = (self.root / "cache" / "steps").iterdir()
        left = [path for path in steps if path.name.startswith(".") or path.suffix in (".work", ".lock")]
        self.count.litter += len(hidden) + len(left)
        lost, most = blocks(self.log.read_text().splitlines())
        self.count.blocks_lost += lost
        self.count.most_blocks_redone = max(self.count.most_blocks_redone, most)


def blocks(lines: list[str]) -> tuple[int, int]:
    """How many finished blocks a next run did not find, and the most that any began again: with the one that
    it was killed in, one more.
    """
    finished = lost = most = 0
    for line in lines:
        word, _, number = line.partition(" ")
        if word == "from":
            missing = max(0, finished - int(number))
            lost, most = lost + missing, max(most, missing + (0 < int(number) < jobs.BLOCKS))
        if word in ("from", "block"):
            finished = int(number)
    return lost, most


def whole(job: jobs.Job, root: Path) -> tuple[str, float]:
    """The digest of what a run publishes that is left alone, and its seconds."""
    chain, start = Chain(job, root, Count()), time.perf_counter()
    code = forked.exit_code(chain.start())
    assert code == 0, (root / "log").read_text()
    return folder_digest(chain.out), time.perf_counter() - start


def from_nothing(job: jobs.Job, root: Path, kills: int, randomness: random.Random) -> Count:
    """Kill runs that begin with an empty cache, until so many kills are spent."""
    count = Count()
    (root / "whole").mkdir(parents=True)
    expected, seconds = whole(job, root / "whole")
    while count.kills < kills:
        chain = Chain(job, root / f"chain{count.chains}", count, expected=expected)
        chain.root.mkdir()
        alive = True
        while alive and count.kills < kills:
            alive = chain.kill(randomness.uniform(0, LATEST * seconds), group=randomness.random() < 0.5)
        chain.finish() if alive else chain.look_after()
        shutil.rmtree(chain.root)
        print(job.kind, count, flush=True)
    return count


def overwriting(old: jobs.Job, job: jobs.Job, root: Path, kills: int, randomness: random.Random) -> Count:
    """Kill runs with `--overwrite` whose steps are finished, so that most are killed while they publish."""
    count = Count()
    (root / "old").mkdir(parents=True)
    (root / "chain").mkdir()
    before, _ = whole(old, root / "old")
    expected, _ = whole(job, root / "chain")
    chain = Chain(job, root / "chain", count, overwrite=True, expected=expected, before=before)
    seconds = max(_timed(chain) for _ in range(3))
    while count.kills < kills:
        if folder_digest(chain.out) != before:
            shutil.rmtree(chain.out)
            shutil.copytree(root / "old" / "artifacts" / "out", chain.out)
        chain.kill(randomness.uniform(0, LATEST * seconds), group=randomness.random() < 0.5)
    chain.finish()
    return count


def _timed(chain: Chain) -> float:
    start = time.perf_counter()
    assert forked.exit_code(chain.start()) == 0
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    randomness, each = random.Random(options.seed), -(-options.kills // 3)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        found = jobs.prepare(root / "models")
        count = overwriting(found["encoder"], found["gptq"], root / "overwrite", each, randomness)
        print("overwrite", count, flush=True)
        for kind, job in found.items():
            print(kind, from_nothing(job, root / kind, each, randomness), flush=True)


if __name__ == "__main__":
    main()
