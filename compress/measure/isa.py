"""Which instruction sets the processor has, under the names that Linux gives them."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

_APPLE = {
    "FEAT_DotProd": "asimddp",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_FP16": "asimdhp",
    "FEAT_SME": "sme",
}
"""What macOS calls the sets that matter to inference, and what Linux does."""

_VECTOR_8_BIT = ("avx512_vnni", "avx_vnni", "amx_int8")
"""x86 sets whose 8-bit products are summed in 32 bits; without one they are summed in pairs in 16."""

_LEVELS = {
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
    "x86-64-v3": ("avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"),
    "x86-64-v2": ("cx16", "popcnt", "sse4_1", "sse4_2", "ssse3"),
}
"""Levels of the x86-64 psABI, highest first, with sets that a level adds."""


def architecture() -> str:
    """`x86_64`, `aarch64`, or what the system calls another."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}.get(name, name)


def instruction_sets() -> tuple[str, ...]:
    """The processor's instruction sets, sorted; empty where the system does not tell."""
    if CPUINFO.exists():
        return parse_cpuinfo(CPUINFO.read_text(encoding="utf8", errors="replace"))[1]
    if platform.system() == "Darwin":
        return parse_sysctl(_sysctl("-a"))
    return ()


def cpu_name() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    if CPUINFO.exists():
        name = parse_cpuinfo(CPUINFO.read_text(encoding="utf8", errors="replace"))[0]
    elif platform.system() == "Darwin":
        name = _sysctl("-n", "machdep.cpu.brand_string").strip()
    else:
        name = platform.processor()
    return name or architecture()


def parse_cpuinfo(text: str) -> tuple[str, tuple[str, ...]]:
    """The name and the instruction sets in the text of `/proc/cpuinfo`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    sets = found.get("flags") or found.get("Features") or ""
    name = found.get("model name") or found.get("Model") or found.get("Hardware") or ""
    return name, tuple(sorted(set(sets.split())))


def parse_sysctl(text: str) -> tuple[str, ...]:
    """The instruction sets in what `sysctl -a` prints on macOS, for Apple's and Intel's processors."""
    sets = set()
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.startswith("hw.optional.arm.FEAT_") and value.strip() == "1":
            sets.add(_APPLE.get(key.rsplit(".", 1)[-1], ""))
        elif key in ("machdep.cpu.features", "machdep.cpu.leaf7_features"):
            sets.update(word.lower() for word in value.split())
    if "hw.optional.arm64: 1" in text:
        sets.add("asimd")
    return tuple(sorted(sets - {""}))


def level(sets: tuple[str, ...]) -> str | None:
    """The highest level of the x86-64 psABI that `sets` make, or None on other processors."""
    for index, name in enumerate(_LEVELS):
        wanted = [one for lower in list(_LEVELS.values())[index:] for one in lower]
        if set(wanted) <= set(sets):
            return name
    return None


def sums_in_16_bits(sets: tuple[str, ...], machine: str) -> bool:
    """Whether products of unsigned and signed bytes are summed in 16 bits and can saturate, so that
    weights must keep to 7 bits. So it is on x86 without VNNI; ARM's kernels widen first.
    """
    return machine == "x86_64" and not set(_VECTOR_8_BIT) & set(sets)


def _sysctl(*words: str) -> str:
    done = subprocess.run(["/usr/sbin/sysctl", *words], capture_output=True, text=True, check=False)
    return done.stdout
