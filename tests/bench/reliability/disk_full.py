"""Fail writes with ENOSPC or EIO, one run at a time, and see how it ends and what the next run makes of it.

    python -m tests.bench.reliability.disk_full [--faults 200] [--reads 40] [--steps true|written]

A library that is preloaded (`faults.c`, built by gcc) counts what a run writes below one folder, which holds
the cache, the output and all temporary files: openings that create, writes, truncations, syncs, links and
renames, in every process. Then runs are made to fail at writes spread evenly over all of them, in turn with a
full disk, which stays full, and with one error of input or output. Each must end with exit code 2 and a line
that says so, and the next run, which nothing disturbs, with the same bytes as one that was never disturbed.
Reads fail one at a time, with an error of input or output; where one hits the check of a finished step that
step is made again, so that exit code 0 is as good. With `--steps written` the steps write some files
instead of a model, which takes seconds.
"""

from __future__ import annotations

import argparse
import errno
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from compress.cli import main as command
from compress.core.errors import CompressError
from compress.core.paths import folder_digest
from tests.bench.reliability import concurrent, forked, jobs

_ERRORS = (errno.ENOSPC, errno.EIO)
_CODES = ("error[no-space]", "error[disk-fault]", "error[cache-damaged]")


@dataclass
class Count:
    """What was seen. `exit_2` and `finished` (where the fault was of no consequence) are to be `faults`."""

    faults: int = 0
    exit_2: int = 0
    finished: int = 0
    other_exits: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    differing: int = 0
    resumed_failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Written:
    """A job whose steps write some files instead of a model."""

    root: Path
    kind: str = "written"

    def run(self, out: Path) -> int:
        """Apply the steps and publish, as the command line does; its exit code."""
        command.build = lambda: lambda **options: self._run(out)
        return command.main([])

    def _run(self, out: Path) -> None:
        if not concurrent.take_part(self.root, 0, model=self.root / "tmp", out=out).startswith("published"):
            raise CompressError("output-exists", f"{out} exists already", hint="see what published it")


class Faults:
    """The memory that the preloaded library shares with this process."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), 32)

    def set(self, at: int, number: int = 0, *, reads: bool = False) -> None:
        """Count writes (or reads) from 0, and let the one at `at` fail (0: none)."""
        self._memory[:] = struct.pack("4q", 0, at, number, reads)

    @property
    def calls(self) -> int:
        """How many writes (or reads) there were since."""
        return int(struct.unpack("4q", self._memory[:])[0])


def run(job: jobs.Job | Written, root: Path) -> int:
    """Run a job whose every file lies below `root`; its exit code."""
    os.environ["COMPRESS_CACHE"] = str(root / "cache")
    return forked.exit_code(forked.start(lambda: job.run(root / "artifacts" / "out"), log_of(root)))


def log_of(root: Path) -> Path:
    """What a run said, outside of the folder where writes fail."""
    return root.with_name(f"{root.name}.log")


def empty(root: Path) -> None:
    """Remove what a run left, but not the folder of temporary files."""
    for name in ("cache", "artifacts"):
        shutil.rmtree(root / name, ignore_errors=True)
    log_of(root).write_text("")


@dataclass(frozen=True)
class Fault:
    """The write (or read) `at` fails with the errno `number`."""

    at: int
    number: int
    reads: bool = False

    def __str__(self) -> str:
        return f"{errno.errorcode[self.number]} at {'read' if self.reads else 'write'} {self.at}"


def disturb(
    job: jobs.Job | Written, root: Path, faults: Faults, fault: Fault, count: Count, expected: str
) -> None:
    """Run a job with a fault, and once more undisturbed."""
    empty(root)
    faults.set(fault.at, fault.number, reads=fault.reads)
    code = run(job, root)
    faults.set(0)
    said = log_of(root).read_text()
    count.faults += 1
    count.exit_2 += code == 2
    count.finished += code == 0
    where = f"{job.kind} {fault}: exit {code}"
    if code not in (0, 2):
        count.other_exits.append(f"{where}: {last(said)}")
    elif code == 2 and not any(line.startswith(_CODES) for line in said.splitlines()):
        count.untold.append(f"{where}: {last(said)}")
    if code != 0 and run(job, root) != 0:
        count.resumed_failed.append(f"{where}: {last(said)}; then {last(log_of(root).read_text())}")
    out = root / "artifacts" / "out"
    count.differing += not out.exists() or folder_digest(out) != expected


def last(text: str) -> str:
    """The line of an error."""
    lines = [line for line in text.splitlines() if line.startswith("error") or "Error" in line]
    return (lines or text.splitlines() or [""])[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--reads", type=int, default=40)
    parser.add_argument("--steps", choices=["true", "written"], default="true")
    options = parser.parse_args()
    if "FAULTS_CONTROL" not in os.environ:
        sys.exit(preloaded())
    root = Path(os.environ["FAULTS_FOLDER"])
    faults = Faults(Path(os.environ["FAULTS_CONTROL"]))
    written = {"written": Written(root)}
    found = written if options.steps == "written" else jobs.prepare(root.parent / "models")
    os.environ["TMPDIR"] = tempfile.tempdir = str(root / "tmp")
    for name, reads, total in (("writes", False, options.faults), ("reads", True, options.reads)):
        count = Count()
        for job in found.values():
            all_over(job, root, faults, count, total=total // len(found), reads=reads)
        print(name, count, flush=True)


def all_over(
    job: jobs.Job | Written, root: Path, faults: Faults, count: Count, *, total: int, reads: bool
) -> None:
    """Spread faults evenly over all writes (or reads) of a job."""
    empty(root)
    faults.set(0, reads=reads)
    assert run(job, root) == 0, log_of(root).read_text()
    calls, expected = faults.calls, folder_digest(root / "artifacts" / "out")
    print(f"{job.kind}: {calls} {'reads' if reads else 'writes'}", flush=True)
    for number in range(total):
        at = 1 + number * (calls - 1) // max(total - 1, 1)
        fault = Fault(at, errno.EIO if reads else _ERRORS[number % 2], reads)
        disturb(job, root, faults, fault, count, expected)
        if number % 10 == 9:
            print(count, flush=True)


def preloaded() -> int:
    """Run this script again with the library, in a folder of its own; its exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, control, root = folder / "faults.so", folder / "control", folder / "disk"
        source = Path(__file__).with_name("faults.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
        control.write_bytes(bytes(32))
        (root / "tmp").mkdir(parents=True)
        environment = os.environ | {
            "LD_PRELOAD": str(library), "FAULTS_CONTROL": str(control), "FAULTS_FOLDER": str(root),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "tests.bench.reliability.disk_full", *sys.argv[1:]],
            env=environment,
            check=False,
        ).returncode


if __name__ == "__main__":
    main()
