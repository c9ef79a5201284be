"""A target's limits on a larger host: what is imposed, and that it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from compress.core import control_groups
from compress.core.artifact import Silent
from compress.core.cores import affinity
from compress.core.profile import Profile
from compress.measure import confine
from compress.measure import confinement as module
from compress.measure.confinement import NO_LIMITS, Confinement, confinement_of
from compress.measure.host import detect_host
from compress.measure.processes import Contender, WorkerFailed, contenders_started
from tests.unit.measure.graphs import products
from tests.unit.measure.test_host import host

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def profile(**keys):
    return Profile(name="small", description="a smaller machine", **keys)


def told(limits, script):
    """What a script prints under limits."""
    done = subprocess.run(
        limits.around([sys.executable, "-c", script]), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip(), done.stderr


def test_a_host_of_the_targets_size_is_not_limited():
    here = host()
    same = profile(cores=here.cores, memory_gib=here.memory_gib)
    assert confinement_of(profile(), here) == NO_LIMITS
    assert confinement_of(same, here) == NO_LIMITS
    assert NO_LIMITS.around(["a", "b"]) == ["a", "b"]


@linux
def test_fewer_cores_and_less_memory_are_imposed(monkeypatch):
    monkeypatch.setattr(module, "memory_group", lambda: None)
    monkeypatch.setattr(module, "one_cpu_a_core", lambda logical: [3, 5, 7, 9])
    found = confinement_of(profile(cores=2, threads=1, memory_gib=0.5), host())
    assert found.cpus == (3, 5)
    assert found.memory_bytes == 2**29
    assert found.limits == ("2 of 4 cores", "1 thread", "0.5 of 15.6 GiB of memory (RLIMIT_DATA)")
    assert found.refused == ()


def test_a_system_that_cannot_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    monkeypatch.setattr(module, "memory_group", lambda: None)
    found = confinement_of(profile(cores=2, memory_gib=1), host(system="Darwin 23"))
    assert (found.cpus, found.memory_bytes, found.limits) == ((), None, ())
    first, second = found.told_refused()
    assert "2 of 4 cores" in first
    assert "1 of 15.6 GiB" in second


@linux
def test_the_process_has_one_processor():
    cpu = affinity()[-1]
    script = "import os, json; print(json.dumps(sorted(os.sched_getaffinity(0))))"
    code, out, _ = told(Confinement(cpus=(cpu,)), script)
    assert code == 0
    assert json.loads(out) == [cpu]


@linux
def test_the_process_may_allocate_so_much_and_no_more():
    limits = Confinement(memory_bytes=200 * 2**20)
    assert told(limits, "print(len(bytearray(20 << 20)))")[:2] == (0, str(20 << 20))
    code, _, complaint = told(limits, "bytearray(400 << 20)")
    assert code == 1
    assert "MemoryError" in complaint


@linux
def test_workers_run_under_the_limits(tmp_path):
    graph = products(tmp_path / "model.onnx")
    cpu = affinity()[0]
    limits = Confinement(cpus=(cpu,), memory_bytes=2**30)
    words = {"model": graph, "runtime": "onnxruntime", "task": "none", "threads": 1}
    with contenders_started(
        [Contender(name="one", confinement=limits, **words)], progress=Silent()
    ) as workers:
        pid = workers["one"]._process.pid
        assert os.sched_getaffinity(pid) == {cpu}
    short = Confinement(memory_bytes=2**20)
    with (
        pytest.raises(WorkerFailed) as caught,
        contenders_started([Contender(name="two", confinement=short, **words)], progress=Silent()),
    ):
        pass
    assert caught.value.out_of_memory
    assert "0.000977 GiB" in caught.value.hint


def test_a_control_group_holds_the_process_and_its_limit(tmp_path, monkeypatch):
    """Files in the place of the kernel's: what is written where."""
    written = {}
    monkeypatch.setattr(type(tmp_path), "write_text", lambda path, text: written.setdefault(path, text))
    confine.enter_group(tmp_path, memory_bytes=2**30)
    group = confine.group_of(tmp_path, os.getpid())
    assert written == {group / "memory.max": str(2**30), group / "cgroup.procs": str(os.getpid())}
    Confinement(group=tmp_path).clear(os.getpid())
    assert not group.exists()


def test_a_group_is_sought_around_this_process(tmp_path, monkeypatch):
    inner = tmp_path / "user.slice" / "scope"
    inner.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("4:memory:/elsewhere\n0::/user.slice/scope\n")
    (tmp_path / "user.slice" / "cgroup.subtree_control").write_text("cpu memory\n")
    (inner / "cgroup.subtree_control").write_text("\n")
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "_OWN", own)
    monkeypatch.setattr(module, "_may_enter", lambda parent: True)
    assert module.memory_group() == tmp_path / "user.slice"
    monkeypatch.setattr(module, "_may_enter", lambda parent: False)
    assert module.memory_group() is None


@linux
def test_this_host_finds_a_way_or_none_without_leaving_anything():
    group = module.memory_group()
    assert group is None or not list(group.glob("compress-*"))
    assert detect_host().cores >= 1
