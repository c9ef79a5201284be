"""Contenders on another machine, by OpenSSH: the same worker, sent there, with the same requests.

Times are taken on the device, by the worker; only requests and their answers cross the network. What is
sent lies in one folder, which the device removes itself when the connection ends, however it ends: a shell
there waits for the end of its input and then clears up.

Host keys are always checked; how to reach the device (user, port, key, jump host) is for `~/.ssh/config`.
`COMPRESS_SSH_COMMAND` stands in for `ssh`, as `GIT_SSH_COMMAND` does for git.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.measure.confinement import NO_LIMITS, Confinement
from compress.measure.noise import Usage
from compress.measure.processes import THREAD_VARIABLES
from compress.measure.sources import closure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WORKER = "compress.measure.worker"
_OPTIONS = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15",
            "-o", "ServerAliveInterval=15", "-T")  # fmt: skip
_PATIENCE_S = 60
_HOLD = 'd=$(mktemp -d) && trap \'rm -rf "$d"\' EXIT HUP INT TERM && echo "$d" && cat >/dev/null'
"""Make the folder, tell it, and remove it when the input ends."""
_FACTS = """
import json, os, platform, sys
import numpy, onnxruntime
usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
print(json.dumps({"python": platform.python_version(), "machine": platform.machine(),
    "system": platform.system(), "cores": usable or 1, "onnxruntime": onnxruntime.__version__,
    "providers": onnxruntime.get_available_providers()}))
"""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A machine that is reached, with a folder on it that is gone when the connection is."""

    host: str
    folder: str
    python: str
    facts: dict[str, Any]

    def run(self, script: str, *, data: bytes | None = None) -> str:
        """What a shell command prints on the device.

        Raises:
            CompressError: the device is not reached any more, or the command fails there.
        """
        found = subprocess.run(
            ssh(self.host, script), input=data or b"", capture_output=True, timeout=None, check=False
        )
        if found.returncode:
            raise _failed(self.host, found.stderr)
        return found.stdout.decode()

    def send(self, files: dict[str, Path]) -> None:
        """Copy files into the folder, by their names there.

        Raises:
            CompressError: there is no room, or the connection broke.
        """
        self._unpack(lambda stream: _pack(files, stream))

    def usage(self) -> Usage | None:
        """The device's processor time so far, None where the system does not tell."""
        if self.facts["system"] != "Linux":
            return None
        return _usage(self.run("head -n 1 /proc/stat"))

    def _unpack(self, write: Any) -> None:
        command = ssh(self.host, f"tar -xf - -C {shlex.quote(self.folder)}")
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        try:
            write(process.stdin)
            process.stdin.close()
        except BrokenPipeError:  # told below, with what the device said
            pass
        said = process.stderr.read() if process.stderr else b""
        if process.wait():
            raise _failed(self.host, said)


@contextmanager
def connected(host: str, *, python: str = "python3") -> Iterator[Device]:
    """The device that `ssh` knows as `host`, with the worker on it.

    Raises:
        CompressError: it is not reached, its key is unknown, or it lacks Python or onnxruntime.
    """
    if host.startswith("-") or not host.strip():
        raise CompressError("remote-invalid", f"'{host}' is no host", hint="pass --remote user@host")
    holder = subprocess.Popen(
        ssh(host, _HOLD), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        folder = _folder(holder, host)
        device = Device(host=host, folder=folder, python=python, facts={})
        device = Device(host=host, folder=folder, python=python, facts=_facts(device))
        _send_worker(device)
        yield device
    finally:
        _release(holder)


@dataclass(frozen=True, kw_only=True)
class RemoteContender:
    """A graph on a device, as `Contender` is one here. `graph` is its path in the device's folder."""

    name: str
    device: Device
    graph: str
    threads: int
    provider: str = "CPUExecutionProvider"
    confinement: Confinement = NO_LIMITS

    def command(self) -> list[str]:
        """The local end of the worker: when it dies, the worker's input ends, and with it the worker."""
        variables = [f"{name}={self.threads}" for name in THREAD_VARIABLES]
        words = ["env", *variables, self.device.python, "-m", _WORKER, self.graph]
        words += ["--threads", str(self.threads), "--provider", self.provider]
        return ssh(self.device.host, f"cd {shlex.quote(self.device.folder)} && exec {shlex.join(words)}")

    def environment(self) -> dict[str, str]:
        """The local end's."""
        return dict(os.environ)

    def place(self, feeds: Path) -> str:
        """Copy a file of inputs to the device, and say where it is there.

        Raises:
            CompressError: it cannot be sent.
        """
        name = f"{self.name_on_device}-{feeds.name}"
        self.device.send({name: feeds})
        return f"{self.device.folder}/{name}"

    @property
    def name_on_device(self) -> str:
        """The folder of its graph."""
        return self.graph.split("/")[0]


def send_graph(device: Device, graph: Path, *, number: int) -> str:
    """Copy a graph and the tensors beside it to the device; where it is there, from the device's folder.

    Raises:
        CompressError: it cannot be sent.
    """
    place = f"model{number}"
    files = [path for path in graph.parent.iterdir() if path.name.startswith(graph.name) and path.is_file()]
    device.send({f"{place}/{path.name}": path for path in files})
    return f"{place}/{graph.name}"


def ssh(host: str, script: str) -> list[str]:
    """The command line that runs a shell script on `host`."""
    start = shlex.split(os.environ.get("COMPRESS_SSH_COMMAND", "ssh"))
    return [*start, *_OPTIONS, "--", host, script]


def _folder(holder: subprocess.Popen[bytes], host: str) -> str:
    assert holder.stdout is not None
    folder = holder.stdout.readline().decode().strip()
    if not re.fullmatch(r"/[\w./-]+", folder):
        raise _failed(host, _release(holder) or folder.encode())
    return folder


def _release(holder: subprocess.Popen[bytes]) -> bytes:
    """End its input, upon which the folder goes and then the connection; what it said."""
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    if holder.stdin.closed:
        return b""
    holder.stdin.close()
    said = holder.stderr.read()
    holder.wait(timeout=_PATIENCE_S)
    holder.stdout.close()
    holder.stderr.close()
    return said


def _facts(device: Device) -> dict[str, Any]:
    try:
        return dict(json.loads(device.run(f"{shlex.quote(device.python)} -c {shlex.quote(_FACTS)}")))
    except (CompressError, ValueError) as error:
        message = f"{device.host}: {device.python} cannot import numpy and onnxruntime ({_last(str(error))})"
        hint = "install onnxruntime there (Python 3.10 or later), or pass --remote-python PATH"
        raise CompressError("remote-runtime-missing", message, hint=hint) from None


def _send_worker(device: Device) -> None:
    found = closure([_WORKER])
    device.send({path.as_posix(): found.root / path for path in found.files})


def _pack(files: dict[str, Path], stream: IO[bytes]) -> None:
    """A tar stream of plain files; owners and times of this machine stay here."""
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for folder in sorted({parent for name in files for parent in _folders(name)}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry, io.BytesIO())
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)


def _folders(name: str) -> Sequence[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _usage(line: str) -> Usage:
    """From the first line of /proc/stat, in hundredths of a second (proc(5))."""
    user, nice, system, idle, waiting, irq, soft, stolen = (int(word) / 100 for word in line.split()[1:9])
    busy = user + nice + system + irq + soft
    return Usage(total=busy + idle + waiting + stolen, busy=busy, stolen=stolen, megahertz=None)


def _failed(host: str, said: bytes) -> CompressError:
    text = said.decode(errors="replace")
    if "Host key verification failed" in text:
        hint = f"connect once by hand and compare the key: ssh {host}"
        return CompressError("remote-unknown", f"the key of {host} is not known", hint=hint)
    message = f"{host}: {_last(text) or 'the connection ended'}"
    return CompressError("remote-failed", message, hint=f"does `ssh {host} true` work without a password?")


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
