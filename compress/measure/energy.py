"""The machine's own meters of energy: RAPL of x86 processors, NVML of NVIDIA devices.

A meter counts what the whole package or device used, also for other programs and for waiting. Many systems
let only root read RAPL (since the PLATYPUS attack, CVE-2020-8694), and virtual machines have none.

Source: Intel 64 and IA-32 manual, volume 3B, "Platform specific power management support"; Linux,
Documentation/power/powercap; NVML, nvmlDeviceGetTotalEnergyConsumption.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    """Counts joules from some moment on."""

    name: str

    def joules(self) -> float:
        """So far; never less than before."""


def find_meter(provider: str, *, powercap: Path = _POWERCAP) -> Meter | None:
    """The meter of what an execution provider runs on, None where there is none that may be read."""
    if provider == "CPUExecutionProvider":
        domains = _domains(powercap)
        return Rapl(domains) if domains else None
    return _nvml() if provider.startswith(("CUDA", "Tensorrt")) else None


@dataclass
class _Domain:
    """One package's counter in microjoules, which starts again at 0 after `span`."""

    path: Path
    span: int
    last: int
    total: int = 0

    def update(self) -> int:
        now = int(self.path.read_text())
        self.total += (now - self.last) % (self.span + 1)
        self.last = now
        return self.total


@dataclass
class Rapl:
    """The sum over all packages. It is to be read more often than the counters wrap, which takes minutes."""

    domains: list[_Domain]
    name: str = field(default="RAPL", init=False)

    def joules(self) -> float:
        """So far."""
        return sum(domain.update() for domain in self.domains) / 1e6


def _domains(root: Path) -> list[_Domain]:
    """The packages (`intel-rapl:0`, on AMD too), without the parts of them, which they count already."""
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        if folder.name.count(":") != 1 or not _is_package(folder):
            continue
        try:
            now = int((folder / "energy_uj").read_text())
            span = int((folder / "max_energy_range_uj").read_text())
        except (OSError, ValueError):  # not ours to read
            return []
        found.append(_Domain(folder / "energy_uj", span, now))
    return found


def _is_package(folder: Path) -> bool:
    """Not `psys`, which counts the whole platform with the packages in it."""
    try:
        return (folder / "name").read_text().startswith("package")
    except OSError:
        return False


@dataclass
class Nvml:
    """The first device's counter (Volta and later)."""

    library: ctypes.CDLL
    device: ctypes.c_void_p
    name: str = field(default="NVML", init=False)

    def joules(self) -> float:
        """Since the driver was loaded; the counter is in millijoules."""
        count = ctypes.c_ulonglong()
        if self.library.nvmlDeviceGetTotalEnergyConsumption(self.device, ctypes.byref(count)):
            raise OSError("the device's energy counter cannot be read")
        return count.value / 1e3


def _nvml() -> Nvml | None:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    device = ctypes.c_void_p()
    if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)):
        return None
    meter = Nvml(library, device)
    try:
        meter.joules()
    except OSError:
        return None
    return meter
