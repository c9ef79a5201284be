"""The processor cores that this process may use, and with them the threads that a runtime computes with.

Runtimes count by other rules: ONNX Runtime takes the machine's physical cores, also where a container may use
two of sixty-four; ONNX Runtime GenAI half of its logical processors, which is one of two where a core is no
more than one (SmolLM2-135M in 4 bits wrote 95 tokens/s so, 133 with both).
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from compress.core.control_groups import groups_around

if TYPE_CHECKING:
    from collections.abc import Iterator

_CPUS = Path("/sys/devices/system/cpu")


def usable_cores() -> int:
    """Physical cores that the affinity and the quota of this process leave it; at least one."""
    cores = _physical_cores(affinity())
    quota = _quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def affinity() -> list[int]:
    """The logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _physical_cores(logical: list[int]) -> int:
    """Cores behind logical processors; hyper-threads of one core count once."""
    cores = {_core_of(cpu) for cpu in logical}
    if None not in cores:
        return len(cores)
    return min(len(logical), psutil.cpu_count(logical=False) or len(logical))


def one_cpu_a_core(logical: list[int]) -> list[int]:
    """The first logical processor of each core; all of them where the system does not tell cores."""
    cores = {_core_of(cpu): cpu for cpu in reversed(logical)}
    return logical if None in cores else sorted(cores.values())


def _core_of(cpu: int) -> tuple[str, str] | None:
    """The package and core of a logical processor, where the system tells."""
    topology = _CPUS / f"cpu{cpu}" / "topology"
    package, core = topology / "physical_package_id", topology / "core_id"
    if not (package.exists() and core.exists()):
        return None
    return package.read_text().strip(), core.read_text().strip()


def _quota() -> float | None:
    """Processors that the control groups of this process grant, or None without a limit."""
    found = [*_granted(), *_granted_by_version_1()]
    return min(found, default=None)


def _granted() -> Iterator[float]:
    for group in groups_around():
        if (group / "cpu.max").exists():
            limit, period = (group / "cpu.max").read_text().split()
            if limit != "max":
                yield int(limit) / int(period)


def _granted_by_version_1() -> Iterator[float]:
    for group in groups_around("cpu"):
        if (group / "cpu.cfs_quota_us").exists():
            limit, period = (int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
            if limit > 0:
                yield limit / period
