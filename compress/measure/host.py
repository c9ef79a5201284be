"""What this machine is, and whether figures taken on it are those of a profile."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import psutil

from compress.core.control_groups import groups_around
from compress.core.cores import usable_cores
from compress.measure.isa import (
    architecture,
    cpu_name,
    instruction_sets,
    level,
    sums_in_16_bits,
)

if TYPE_CHECKING:
    from compress.core.profile import Profile

_TELLING = (
    "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16",
    "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme",
)  # fmt: skip
"""Instruction sets that inference uses, out of the hundred that a processor has."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """This machine, as far as this process may use it. `memory_gib` is in GiB."""

    cpu: str
    architecture: str
    isa: tuple[str, ...]
    cores: int
    """Physical cores that this process may use: as many threads as computing takes."""
    memory_gib: float
    system: str

    @property
    def int8_saturates(self) -> bool:
        """Whether U8S8 products are summed in 16 bits (see `Profile.int8_saturates`)."""
        return sums_in_16_bits(self.isa, self.architecture)

    @property
    def level(self) -> str | None:
        """The x86-64 psABI level, None on other processors."""
        return level(self.isa) if self.architecture == "x86_64" else None

    def facts(self) -> dict[str, Any]:
        """For people and reports: with the instruction sets that inference uses alone."""
        sets = [name for name in _TELLING if name in self.isa]
        derived = {"int8_saturates": self.int8_saturates, "level": self.level}
        return {**asdict(self), "isa": sets, **derived}

    def describe(self) -> str:
        """One line: `AMD EPYC, 2 cores, 23.5 GiB, x86-64-v4 with avx512_vnni`."""
        special = [name for name in ("amx_int8", "avx512_vnni", "avx_vnni", "asimddp") if name in self.isa]
        base = self.level or self.architecture
        sets = f"{base} with {special[0]}" if special else base
        cores = "core" if self.cores == 1 else "cores"
        return f"{self.cpu}, {self.cores} {cores}, {self.memory_gib:.1f} GiB, {sets}"


def detect_host() -> Host:
    """Look at this machine; nothing is timed."""
    return Host(
        cpu=cpu_name(),
        architecture=architecture(),
        isa=instruction_sets(),
        cores=usable_cores(),
        memory_gib=round(_memory_bytes() / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
    )


def differences(profile: Profile, host: Host) -> list[str]:
    """Why figures taken on `host` are not those of `profile`; empty where they are.

    More than the profile asks for is a difference too, where a runtime would use it: 8-bit products on
    a host with VNNI say nothing about a target without.
    """
    return [
        *_device_differences(profile),
        *_processor_differences(profile, host),
        *_size_differences(profile, host),
    ]


def on_host(profile: Profile, host: Host) -> Profile:
    """The profile with what it leaves to the host filled in."""
    known = {
        "architecture": host.architecture,
        "cores": host.cores,
        "memory_gib": host.memory_gib,
        "int8_saturates": host.int8_saturates,
    }
    blank = {key: value for key, value in known.items() if getattr(profile, key) is None}
    return profile.model_copy(update=blank)


def _device_differences(profile: Profile) -> list[str]:
    import onnxruntime

    if profile.execution_provider in onnxruntime.get_available_providers():
        return []
    return [f"onnxruntime here has no {profile.execution_provider}"]


def _processor_differences(profile: Profile, host: Host) -> list[str]:
    if profile.architecture not in (None, host.architecture):
        return [f"the target is {profile.architecture}, this host {host.architecture}"]
    missing = [name for name in profile.isa if name not in host.isa]
    extra = [name for name in profile.isa_absent if name in host.isa]
    reasons = [f"this host lacks {', '.join(missing)}"] if missing else []
    if extra:
        reasons.append(f"this host has {', '.join(extra)}, whose kernels the target does not run")
    return reasons


def _size_differences(profile: Profile, host: Host) -> list[str]:
    reasons = []
    if profile.cores is not None and profile.cores > host.cores:
        reasons.append(f"the target has {profile.cores} cores, this host {host.cores}")
    # A machine sold as one of 8 GiB shows somewhat less: firmware and the kernel keep their share.
    if profile.memory_gib is not None and host.memory_gib < 0.85 * profile.memory_gib:
        reasons.append(f"the target has {profile.memory_gib:g} GiB, this host {host.memory_gib:g}")
    return reasons


def _memory_bytes() -> int:
    """Memory of the machine, or of the container where that has less."""
    total = int(psutil.virtual_memory().total)
    files = [group / "memory.max" for group in groups_around()]
    files += [group / "memory.limit_in_bytes" for group in groups_around("memory")]
    limits = [path.read_text().strip() for path in files if path.exists()]
    return min([total, *(int(one) for one in limits if one.isdigit())])
