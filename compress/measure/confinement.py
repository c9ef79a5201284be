"""A target's limits on a larger host: fewer cores and less memory, for each process that is timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.control_groups import groups_around
from compress.core.cores import affinity, one_cpu_a_core
from compress.measure import confine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.profile import Profile
    from compress.measure.host import Host

_PATIENCE_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Confinement:
    """What is imposed on each timed process. `cpus` are logical processors (empty: all); memory is limited
    by a control group below `group`, or by `RLIMIT_DATA` where that is None.
    """

    cpus: tuple[int, ...] = ()
    memory_bytes: int | None = None
    group: Path | None = None
    limits: tuple[str, ...] = ()
    """The same in words, and fewer threads where the target asks for that; empty: the target is this host."""
    refused: tuple[str, ...] = ()
    """What the target has less of, and this host cannot take away."""

    @property
    def memory(self) -> str:
        """The limit of memory in words, empty without one."""
        return f"{self.memory_bytes / 2**30:.3g} GiB of memory" if self.memory_bytes else ""

    def around(self, command: Sequence[str]) -> list[str]:
        """The command, started under the limits."""
        words = ["--cpus", ",".join(map(str, self.cpus))] if self.cpus else []
        words += ["--memory", str(self.memory_bytes)] if self.memory_bytes else []
        words += ["--group", str(self.group)] if self.group else []
        if not words:
            return list(command)
        # By its path: it imports nothing of this package, nor must the command find it.
        return [sys.executable, "-P", str(confine.__file__), *words, "--", *command]

    def told_refused(self) -> list[str]:
        """What makes figures taken here less the target's, in sentences."""
        return [f"not limited as the target is: {one}" for one in self.refused]

    def clear(self, pid: int) -> None:
        """Remove the control group of a process that has ended."""
        if self.group is None:
            return
        group, end = confine.group_of(self.group, pid), time.monotonic() + _PATIENCE_S
        while group.is_dir() and time.monotonic() < end:
            try:
                group.rmdir()
            except OSError:  # the kernel has not let go of the last thread yet
                time.sleep(0.02)


NO_LIMITS = Confinement()


def confinement_of(profile: Profile, host: Host) -> Confinement:
    """The limits of a target that `host` can stand in for: those in which it has more."""
    cpus, cores_told, cores_refused = _cores(profile, host)
    memory, group, memory_told, memory_refused = _memory(profile, host)
    threads = profile.threads
    fewer = threads is not None and threads < min(profile.cores or host.cores, host.cores)
    told = [*cores_told, *([f"{threads} thread{'s' * (threads != 1)}"] if fewer else []), *memory_told]
    return Confinement(
        cpus=cpus,
        memory_bytes=memory,
        group=group,
        limits=tuple(told),
        refused=(*cores_refused, *memory_refused),
    )


def _cores(profile: Profile, host: Host) -> tuple[tuple[int, ...], list[str], list[str]]:
    wanted = profile.cores
    if wanted is None or wanted >= host.cores:
        return (), [], []
    words = f"{wanted} of {host.cores} cores"
    if not hasattr(os, "sched_setaffinity"):
        return (), [], [f"{words}: {host.system} binds no process to cores, so threads alone are limited"]
    return tuple(one_cpu_a_core(affinity())[:wanted]), [words], []


def _memory(profile: Profile, host: Host) -> tuple[int | None, Path | None, list[str], list[str]]:
    wanted = profile.memory_gib
    if wanted is None or wanted >= host.memory_gib:
        return None, None, [], []
    words, size = f"{wanted:g} of {host.memory_gib:g} GiB of memory", int(wanted * 2**30)
    group = memory_group()
    if group is not None:
        return size, group, [f"{words} (control group)"], []
    if host.system.startswith("Linux"):
        return size, None, [f"{words} (RLIMIT_DATA)"], []
    return None, None, [], [f"{words}: {host.system} limits the memory of no process"]


def memory_group() -> Path | None:
    """The nearest control group (version 2) around this process in which one with a limit of memory may be
    made, found by making one. None: there is none, as where the system or its administrator keeps them.
    """
    return next((one for one in groups_around() if _gives_memory(one) and _may_enter(one)), None)


def _gives_memory(parent: Path) -> bool:
    controllers = parent / "cgroup.subtree_control"
    return controllers.is_file() and "memory" in controllers.read_text().split()


def _may_enter(parent: Path) -> bool:
    tried = Confinement(memory_bytes=2**30, group=parent)
    process = subprocess.Popen(tried.around([sys.executable, "-c", ""]), stderr=subprocess.DEVNULL)
    code = process.wait()
    tried.clear(process.pid)
    return code == 0
