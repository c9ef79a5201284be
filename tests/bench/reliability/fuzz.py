"""Damage inputs of every reader and see that each ends well, or in one line with a code.

    python -m tests.bench.reliability.fuzz --inputs 5000 --seed 0

Each input is read in a process of its own, forked from one that has imported everything: what it raises, how
long it takes and how much memory it adds are told apart from the next. Exit 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from compress.core.errors import CompressError
from tests.bench.reliability.inputs import GROUPS, Reader, apart

SECONDS = 10
"""Of the processor: a busy machine is no hang."""
WALL_SECONDS = 60.0
MEMORY = 2**30
_ROOM = 6 * MEMORY
"""Address space that an input may take beyond what is taken, so that a bomb does not end the machine."""
READ, REFUSED, UNCAUGHT = 0, 10, 11


@dataclass(frozen=True)
class Attempt:
    """What became of one input, and its place, time and traceback in words."""

    outcome: str
    told: str


@dataclass
class Tally:
    """What became of the inputs of one reader."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, found: Attempt) -> None:
        """Count an input."""
        self.outcomes[found.outcome] += 1
        if found.outcome not in ("read", "refused"):
            self.faults.append(found.told)


def main() -> int:
    """Run the inputs in turn over all readers, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long, with what was tried")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--groups", default=",".join(GROUPS), help="kinds of readers, by commas")
    parser.add_argument("--only", default="", help="readers whose names hold one of these, by commas")
    parser.add_argument("--show", type=int, default=20, help="faults that are printed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        os.environ.update(OMP_NUM_THREADS="1", COMPRESS_CACHE=str(Path(root, "cache")), HF_HUB_OFFLINE="1")
        parts = arguments.only.split(",")
        made = [one for group in arguments.groups.split(",") for one in GROUPS[group](Path(root))]
        known = [one for one in made if any(part in one.name for part in parts)]
        _warm(known, Path(root))
        tallies = {one.name: Tally() for one in known}
        end = time.monotonic() + 60 * arguments.minutes
        for number in range(arguments.inputs):
            if time.monotonic() > end:
                break
            one = known[number % len(known)]
            found = _try(one, arguments.seed + number, Path(root))
            if found.outcome == "hangs":  # what a busy machine delays ends at the second attempt
                found = _try(one, arguments.seed + number, Path(root))
            tallies[one.name].add(found)
    return _print(tallies, arguments.show)


def _warm(known: list[Reader], root: Path) -> None:
    """Read every seed undamaged, here: it must be valid, and everything is imported then."""
    for one in known:
        folder = root / "warm" / "input"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(one.seed, folder)
        path = folder / one.file
        if one.native:
            apart(partial(one.read, path))
        else:
            one.read(path)


def _try(one: Reader, seed: int, root: Path) -> Attempt:
    work = root / "work"
    path = one.spoil(work / "input", Random(seed))
    log = work / "log"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    start = time.monotonic()
    child = os.fork()
    if not child:
        _read(one, path, log)
    status, usage = _wait(child, start)
    seconds, grown = time.monotonic() - start, usage.ru_maxrss * 1024 - before
    outcome = _outcome(status, seconds, grown)
    title = f"{one.name} seed {seed}: {outcome}, {seconds:.1f} s, {grown / 2**20:.0f} MiB"
    reason = log.read_text(encoding="utf8", errors="replace").strip() if log.exists() else ""
    log.unlink(missing_ok=True)
    return Attempt(outcome, f"{title}\n{reason}")


def _read(one: Reader, path: Path, log: Path) -> None:
    """Read in the child, which never returns."""
    code = READ
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _ROOM, used + _ROOM))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    os.chdir(path.parent)
    try:
        one.read(path)
    except CompressError as error:
        code = REFUSED
        if "\n" in str(error) or not error.code:
            log.write_text(f"not one line with a code: {error!r}", encoding="utf8", errors="backslashreplace")
            code = UNCAUGHT
    except BaseException:
        log.write_text(traceback.format_exc()[-3000:], encoding="utf8", errors="backslashreplace")
        code = UNCAUGHT
    os._exit(code)


def _wait(child: int, start: float) -> tuple[int, resource.struct_rusage]:
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage
        if time.monotonic() - start > WALL_SECONDS:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage
        time.sleep(0.002)


def _outcome(status: int, seconds: float, grown: int) -> str:
    if seconds > WALL_SECONDS or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return "hangs"
    if grown > MEMORY:
        return "memory"
    code = os.waitstatus_to_exitcode(status)
    return {READ: "read", REFUSED: "refused", UNCAUGHT: "uncaught"}.get(code, f"died ({code})")


def _print(tallies: dict[str, Tally], shown: int) -> int:
    faults = [fault for tally in tallies.values() for fault in tally.faults]
    print("\n\n".join(faults[:shown]), file=sys.stderr)
    print("| reader | inputs | read | refused | wrong |\n|---|---|---|---|---|")
    total: Counter[str] = Counter()
    for name, tally in tallies.items():
        total += tally.outcomes
        print(_row(name, tally.outcomes))
    print(_row("all", total))
    return int(bool(faults))


def _row(name: str, outcomes: Counter[str]) -> str:
    wrong = {kind: count for kind, count in outcomes.items() if kind not in ("read", "refused")}
    told = ", ".join(f"{count} {kind}" for kind, count in wrong.items()) or "0"
    return f"| {name} | {outcomes.total():,} | {outcomes['read']:,} | {outcomes['refused']:,} | {told} |"


if __name__ == "__main__":
    sys.exit(main())
