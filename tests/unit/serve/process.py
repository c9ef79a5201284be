"""FIXTURE: the server of a package in a process of its own that cannot import torch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from urllib.parse import urlsplit

_START = """
import sys
for name in ("torch", "transformers", "onnx", "yaml", "scipy", "PIL", "soundfile", "safetensors"):
    sys.modules[name] = None  # an import of it fails
sys.path.insert(0, ".")
import compress.serve.__main__ as server
assert server.__file__.startswith(sys.argv.pop(1)), server.__file__
sys.exit(server.main())
"""


def start(package, *words):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-c", _START, str(package), "model", "--port", str(port), *words]
    process = subprocess.Popen(
        command, cwd=package, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ""}
    )
    return process, f"http://127.0.0.1:{port}"


def wait_for(process, address):
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=30):
                return
        except urllib.error.URLError:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.1)
    raise AssertionError("the server did not start")


@contextmanager
def running(package, *words):
    """The process and its address, until the end of the block."""
    process, address = start(package, *words)
    try:
        wait_for(process, address)
        yield process, address
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def connect(address):
    """A plain TCP connection, for clients that do not speak HTTP well."""
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)
