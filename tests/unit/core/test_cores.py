from __future__ import annotations

import os

import pytest

from compress.core import control_groups
from compress.core import cores as module
from compress.core.cores import usable_cores
from compress.graph import ort
from compress.graph.ort import session_options


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_affinity_limits_the_cores():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu.max": "400000 100000", "own/cpu.max": "max 100000", "own/inner/cpu.max": "600000 100000"}, 4),
        ({"cpu.max": "max 100000", "own/inner/cpu.max": "300000 100000"}, 3),
        ({"cpu/own/inner/cpu.cfs_quota_us": "200000", "cpu/own/inner/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({}, 8),
    ],
)
def test_the_quotas_of_all_groups_limit_the_cores(tmp_path, monkeypatch, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text + "\n")
    own = tmp_path / "self"
    own.write_text("3:cpuset:/\n2:cpu,cpuacct:/own/inner\n0::/own/inner\n")
    monkeypatch.setattr(control_groups, "_OWN", own)
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(module, "_physical_cores", lambda logical: 8)
    assert usable_cores() == expected


def test_hyperthreads_count_once(tmp_path, monkeypatch):
    for cpu in range(4):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{cpu // 2}\n")
    monkeypatch.setattr(module, "_CPUS", tmp_path)
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(module, "affinity", lambda: [0, 1, 2, 3])
    assert usable_cores() == 2


def test_sessions_compute_with_the_usable_cores(monkeypatch):
    monkeypatch.setattr(ort, "usable_cores", lambda: 5)
    assert session_options(0).intra_op_num_threads == 5
    assert session_options(3).intra_op_num_threads == 3
