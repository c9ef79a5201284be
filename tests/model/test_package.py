"""A package starts in an environment of exactly its written requirements, as in its container."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import venv
from contextlib import contextmanager

import numpy as np
import pytest

import compress
from compress.pipeline.package import package_docker
from tests.unit.cli.artifact import publish

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

_OFFLINE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "Retrying (")


def environment(folder, requirements):
    """The interpreter of a new environment with the listed packages alone; the test is skipped offline."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--retries", "1"]
    done = subprocess.run([*command, "--requirement", requirements], capture_output=True, text=True)
    if done.returncode and any(sign in done.stderr for sign in _OFFLINE):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return python


@contextmanager
def served(package, python):
    """The server's address, started as the Dockerfile's ENTRYPOINT does it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "compress.serve", "model", "--port", str(port)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    process = subprocess.Popen(command, cwd=package, stderr=subprocess.PIPE, env=clean)
    address = f"http://127.0.0.1:{port}"
    try:
        await_health(process, address)
        yield address
    finally:
        process.kill()
        process.communicate()


def await_health(process, address):
    for _ in range(1200):
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=10):
                return
        except urllib.error.URLError:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.05)
    raise AssertionError("the server did not start")


def ask(address, body):
    request = urllib.request.Request(
        address, data=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_an_encoder_answers_with_its_requirements_alone(tmp_path):
    artifact = publish(tmp_path / "out")
    package = package_docker(artifact, tmp_path / "image")
    python = environment(tmp_path / "venv", package / "requirements.txt")
    with served(package, python) as address:
        answer = ask(f"{address}/v1/embeddings", {"input": ["a word"]})
    vector = answer["data"][0]["embedding"]
    np.testing.assert_allclose(vector, compress.load(artifact).encode("a word"), rtol=1e-6)


def test_a_decoder_answers_with_its_requirements_alone(published_decoder, tmp_path):
    package = package_docker(published_decoder, tmp_path / "image")
    python = environment(tmp_path / "venv", package / "requirements.txt")
    with served(package, python) as address:
        answer = ask(f"{address}/v1/completions", {"prompt": "the quick brown", "max_tokens": 8})
    expected = compress.load(published_decoder, threads=1).generate("the quick brown", tokens=8)
    assert answer["choices"][0]["text"] == expected
