"""A real sshd on this machine, with keys of its own: figures come back, and nothing stays behind."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from compress.core.artifact import Silent
from compress.core.errors import CompressError
from compress.measure.latency import interleave
from compress.measure.processes import WorkerFailed
from compress.measure.remote import RemoteContender, connected, send_graph
from tests.unit.measure.graphs import feeds, products

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")


def key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def reachable(port):
    for _ in range(100):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """The port of an sshd that lets this user in by key, and the folder with the keys."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("needs OpenSSH's client and server")
    folder = tmp_path_factory.mktemp("ssh")
    if os.geteuid() == 0:  # where sshd gives up its rights; its place is compiled in
        Path("/run/sshd").mkdir(exist_ok=True)
    host, user, port = key(folder / "host"), key(folder / "user"), free_port()
    (folder / "authorized").write_bytes(user.with_suffix(".pub").read_bytes())
    lines = [
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {host}", "UsePAM no", "StrictModes no",
        f"AuthorizedKeysFile {folder / 'authorized'}", "PasswordAuthentication no", "PermitRootLogin yes",
        f"PidFile {folder / 'pid'}", "MaxStartups 50",
    ]  # fmt: skip
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=(folder / "log").open("wb")
    )
    if not reachable(port):
        process.kill()
        process.wait()
        pytest.skip(f"sshd does not start here: {(folder / 'log').read_text()[-300:]}")
    yield port, folder
    process.terminate()
    process.wait()


@pytest.fixture
def device_host(daemon, tmp_path, monkeypatch):
    """The device's name for `ssh`, whose key is known; what it keeps goes to `tmp_path / "there"`."""
    port, folder = daemon
    public = (folder / "host.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n")
    config = [
        "Host device", "HostName 127.0.0.1", f"Port {port}", f"User {getpass.getuser()}",
        f"IdentityFile {folder / 'user'}", "IdentitiesOnly yes", f"UserKnownHostsFile {tmp_path / 'known'}",
        "GlobalKnownHostsFile /dev/null",
    ]  # fmt: skip
    (tmp_path / "config").write_text("\n".join(config) + "\n")
    monkeypatch.setenv("COMPRESS_SSH_COMMAND", f"ssh -F {tmp_path / 'config'}")
    return "device"


def contenders(device, tmp_path):
    graphs = {
        "slow": products(tmp_path / "slow" / "model.onnx", count=24, size=128),
        "fast": products(tmp_path / "fast" / "model.onnx", count=1, size=128),
    }
    return [
        RemoteContender(name=name, device=device, graph=send_graph(device, graph, number=number), threads=1)
        for number, (name, graph) in enumerate(graphs.items())
    ]


def test_graphs_are_timed_there_in_turn(device_host, tmp_path):
    with connected(device_host, python=sys.executable) as device:
        assert device.facts["cores"] >= 1
        assert device.facts["onnxruntime"]
        workloads = {"x": feeds(8, 128)}
        found = interleave(
            contenders(device, tmp_path), workloads, progress=Silent(), rounds=3, device=device
        )
        assert (Path(device.folder) / "model0" / "model.onnx").is_file()
    assert len(found.rounds["slow", "x"]) == len(found.rounds["fast", "x"]) == 3
    assert np.median(found.seconds("slow", "x")) > np.median(found.seconds("fast", "x")) > 0
    assert found.load_s["fast"] > 0
    assert found.peak_rss_bytes["fast"] > 10_000_000
    assert not Path(device.folder).exists()


def test_nothing_stays_when_the_work_fails(device_host):
    def work():
        with connected(device_host, python=sys.executable) as device:
            places.append(Path(device.folder))
            raise KeyboardInterrupt

    places = []
    with pytest.raises(KeyboardInterrupt):
        work()
    assert not places[0].exists()


def test_a_graph_that_does_not_load_there_says_why(device_host, tmp_path):
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"none")
    with connected(device_host, python=sys.executable) as device:
        one = RemoteContender(
            name="broken", device=device, graph=send_graph(device, broken, number=0), threads=1
        )
        with pytest.raises(WorkerFailed, match="graph-invalid"):
            interleave([one], {"x": feeds(1, 8)}, progress=Silent(), rounds=1, device=device)
    assert not Path(device.folder).exists()


def test_a_key_that_is_not_known_is_refused(device_host, tmp_path):
    (tmp_path / "known").write_text("")
    with pytest.raises(CompressError) as caught, connected(device_host, python=sys.executable):
        pass
    assert caught.value.code == "remote-unknown"


def test_a_device_without_onnxruntime_is_refused(device_host, tmp_path):
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'No module named onnxruntime' >&2\nexit 1\n")
    bare.chmod(0o755)
    with pytest.raises(CompressError) as caught, connected(device_host, python=str(bare)):
        pass
    assert caught.value.code == "remote-runtime-missing"
    assert "No module named onnxruntime" in caught.value.message


@pytest.mark.parametrize("host", ["-oProxyCommand=touch /tmp/x", "", " "])
def test_no_option_is_taken_for_a_host(host):
    with pytest.raises(CompressError) as caught, connected(host):
        pass
    assert caught.value.code == "remote-invalid"
