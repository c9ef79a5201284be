from __future__ import annotations

from compress.measure.probe import bandwidth_gb_s, probe, product_gop_s


def test_figures_are_of_the_order_of_machines():
    assert 0.1 < bandwidth_gb_s(threads=1, seconds=0.02, size=2**22) < 10_000
    for dtype in ("fp32", "int8"):
        assert 0.1 < product_gop_s(dtype, threads=1, seconds=0.02, size=256) < 100_000


def test_all_that_a_roofline_needs_is_measured():
    found = probe(threads=1, seconds=0.02)
    assert found.bandwidth_gb_s > 0
    assert set(found.peak_gop_s) == {"fp32", "int8"}
