"""Start a command under limits: some processors, so much memory.

    python confine.py [--cpus 0,1] [--memory BYTES [--group FOLDER]] -- COMMAND...

The command takes this process's place, so that its id stays. With `--group` memory is limited by a control
group of its own below that folder, otherwise by `RLIMIT_DATA`. Needs the standard library alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def group_of(parent: Path, pid: int) -> Path:
    """The control group that a process is put into."""
    return parent / f"compress-{pid}"


def enter_group(parent: Path, *, memory_bytes: int) -> None:
    """Make a control group with so much memory and no swap, and move this process into it.

    Raises:
        OSError: this is not permitted.
    """
    group = group_of(parent, os.getpid())
    group.mkdir()
    (group / "memory.max").write_text(str(memory_bytes))
    swap = group / "memory.swap.max"
    if swap.exists():
        swap.write_text("0")
    (group / "cgroup.procs").write_text(str(os.getpid()))


def limit_data(memory_bytes: int) -> None:
    """Limit what this process may allocate: private memory that can be written. Files that are mapped to be
    read do not count, nor do they in a control group, which drops them first.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def main() -> None:
    """Limit this process as the command line says, and become the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", default="")
    parser.add_argument("--memory", type=int)
    parser.add_argument("--group", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    words = parser.parse_args()
    if words.cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in words.cpus.split(",")})
    if words.group:
        enter_group(words.group, memory_bytes=words.memory)
    elif words.memory:
        limit_data(words.memory)
    command = words.command[1:]
    sys.stdout.flush()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
