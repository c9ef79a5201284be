from __future__ import annotations

import pytest

from compress.measure.isa import level, parse_cpuinfo, parse_sysctl, sums_in_16_bits

X86 = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz
flags\t\t: fpu sse4_1 avx2 avx512f avx512_vnni

processor\t: 1
model name\t: another
flags\t\t: none
"""
ARM = """processor\t: 0
Features\t: fp asimd asimdhp asimddp
CPU part\t: 0xd0b

Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""
APPLE = """hw.optional.arm64: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_SME: 0
"""
INTEL_MAC = """machdep.cpu.features: FPU SSE4.2 AVX1.0
machdep.cpu.leaf7_features: BMI1 AVX2 AVX512F
"""
V2 = ("cx16", "popcnt", "sse4_1", "sse4_2", "ssse3")
V3 = (*V2, "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe")


def test_linux_on_x86():
    name, sets = parse_cpuinfo(X86)
    assert name == "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"
    assert sets == ("avx2", "avx512_vnni", "avx512f", "fpu", "sse4_1")


def test_linux_on_arm():
    assert parse_cpuinfo(ARM) == ("Raspberry Pi 5 Model B Rev 1.0", ("asimd", "asimddp", "asimdhp", "fp"))


def test_nothing_told_is_nothing_had():
    assert parse_cpuinfo("") == ("", ())
    assert parse_sysctl("") == ()


def test_macos_on_both_processors():
    assert parse_sysctl(APPLE) == ("asimd", "asimddp", "i8mm")
    assert {"avx2", "avx512f", "fpu"} <= set(parse_sysctl(INTEL_MAC))


@pytest.mark.parametrize(
    ("sets", "expected"), [((), None), (V2, "x86-64-v2"), (V3, "x86-64-v3"), (("avx2", *V2), "x86-64-v2")]
)
def test_levels(sets, expected):
    assert level(sets) == expected


@pytest.mark.parametrize(
    ("sets", "machine", "saturates"),
    [
        (("avx2",), "x86_64", True),
        (("avx2", "avx512f"), "x86_64", True),
        (("avx2", "avx_vnni"), "x86_64", False),
        (("avx512_vnni",), "x86_64", False),
        (("amx_int8",), "x86_64", False),
        ((), "x86_64", True),
        (("asimd",), "aarch64", False),
    ],
)
def test_where_8_bit_sums_saturate(sets, machine, saturates):
    assert sums_in_16_bits(sets, machine) == saturates
