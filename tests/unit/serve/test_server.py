"""A packaged artifact, served in a process of its own that cannot import torch, under load and bad input."""

from __future__ import annotations

import base64
import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import compress
from compress.cli.main import main
from compress.core.errors import CompressError
from compress.measure.sources import closure
from compress.pipeline.package import package_docker
from tests.unit.cli.artifact import publish
from tests.unit.serve.process import running, start, wait_for

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    random = np.random.default_rng(0)
    table = random.normal(size=(7, 4)).astype(np.float32)
    return publish(tmp_path_factory.mktemp("served") / "out", table=table)


@pytest.fixture(scope="module")
def package(artifact):
    return package_docker(artifact, artifact.with_name("out-docker"))


@pytest.fixture(scope="module")
def server(package):
    with running(package) as server:
        yield server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server[1], timeout=60) as client:
        yield client


def test_it_answers_as_the_artifact_does(client, artifact):
    texts = ["a word", "the text", "of text"]  # of one length, as the graph has no mask
    expected = compress.load(artifact).encode(texts)
    found = client.post("/v1/predict", json={"inputs": texts}).json()
    np.testing.assert_allclose(found["outputs"], expected, rtol=1e-6)
    assert client.get("/metadata").json()["task"] == found["task"] == "feature-extraction"


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_as_openai_has_them(client, artifact, form):
    body = {"input": ["a word", "text of"], "model": "any", "encoding_format": form}
    found = client.post("/v1/embeddings", json=body).json()
    vectors = [item["embedding"] for item in found["data"]]
    if form == "base64":
        vectors = [np.frombuffer(base64.b64decode(one), "<f4") for one in vectors]
    np.testing.assert_allclose(vectors, compress.load(artifact).encode(["a word", "text of"]), rtol=1e-6)
    assert [item["index"] for item in found["data"]] == [0, 1]
    assert found["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


def test_a_thousand_requests_eight_at_a_time(client, artifact):
    texts = ["a word", "the text", "of", "word of the text"]
    model = compress.load(artifact)
    expected = [model.encode(text) for text in texts]

    def ask(number):
        chosen = number % len(texts)
        answer = client.post("/v1/predict", json={"inputs": texts[chosen]})
        assert answer.status_code == 200, answer.text
        return np.abs(np.array(answer.json()["outputs"][0]) - expected[chosen]).max()

    with ThreadPoolExecutor(8) as pool:
        differences = list(pool.map(ask, range(1000)))
    assert len(differences) == 1000
    assert max(differences) < 1e-6


MALFORMED = [
    b"", b"{", b"null", b"[]", b"1", b"\xff\xfe", b'{"inputs"', b'{"inputs": []}', b'{"inputs": null}',
    b'{"inputs": [1]}', b'{"inputs": {"text": 1}}', b'{"inputs": "a", "more": 1}', b'{"input": "a"}',
    b'{"inputs": ["\\ud800"]}', b'{"inputs": [["a"]]}', b'{"inputs": {"image": "/etc/passwd"}}',
    b"[" * 5000, b'{"inputs": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    json.dumps({"inputs": ["a"] * 1000}).encode(), json.dumps({"inputs": "a " * 100_000}).encode(),
]  # fmt: skip


def test_two_hundred_malformed_requests_get_4xx(client, server):
    json_type = {"content-type": "application/json"}

    def post(body, headers=json_type):
        return client.build_request("POST", "/v1/predict", content=body, headers=headers)

    asked = [
        *(post(body) for body in MALFORMED),
        post(b'{"inputs": "a"}', {"content-type": "text/csv"}),
        post(b"x" * (17 * 2**20)),
        client.build_request("GET", "/v1/predict"),
        client.build_request("POST", "/v2/predict", json={"inputs": "a"}),
        client.build_request("POST", "/v1/embeddings", json={"input": "a", "encoding_format": "hex"}),
    ]
    codes = [client.send(asked[number % len(asked)]).status_code for number in range(200)]
    wrong = {
        asked[n % len(asked)].content[:40]: code for n, code in enumerate(codes) if not 400 <= code < 500
    }
    assert wrong == {}
    assert client.get("/health").status_code == 200
    assert server[0].poll() is None


def test_a_refusal_says_what_was_expected(client):
    error = client.post("/v1/predict", json={"inputs": []}).json()["error"]
    assert error["code"] == "input-invalid"
    assert "expected 1 to" in error["message"]


def test_it_stops_cleanly_and_answers_what_was_begun(package):
    process, address = start(package)
    try:
        wait_for(process, address)
        many = {"inputs": ["word of the text"] * 256}
        with httpx.Client(base_url=address, timeout=60) as client, ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(client.post, "/v1/predict", json=many) for _ in range(4)]
            assert answers[0].result().status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0
            done = [one.result().status_code for one in answers if one.exception() is None]
        assert set(done) == {200}
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.stderr.close()


def test_a_changed_model_is_not_served(package, tmp_path):
    copy = Path(shutil.copytree(package, tmp_path / "copy"))
    (copy / "model" / "model.onnx").write_bytes(b"other")
    process, _ = start(copy)
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 2
    assert "artifact-changed" in said


def test_the_folder_is_the_artifact_and_little_more(artifact, package):
    def size(folder):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    assert size(package / "model") == size(artifact)
    assert size(package) - size(artifact) < 500_000
    pinned = (package / "requirements.txt").read_text().split()
    assert not any(line.startswith(("torch", "transformers")) for line in pinned)
    assert any(line.startswith("onnxruntime==") for line in pinned)
    docker = (package / "Dockerfile").read_text()
    assert "USER 65534" in docker
    assert "HEALTHCHECK" in docker


def test_nothing_that_a_server_needs_asks_for_torch():
    found = closure(["compress.serve.__main__"])
    assert not found.others & {"torch", "transformers", "onnx", "yaml", "rich", "typer"}
    assert not any("passes" in path.parts or "cli" in path.parts for path in found.files)


def test_on_the_command_line(artifact, tmp_path, capsys):
    out = tmp_path / "image"
    assert main(["package", str(artifact), "--as", "docker", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert main(["package", str(artifact), "--out", str(out)]) == 2
    assert "error[output-exists]" in capsys.readouterr().err


def test_a_damaged_artifact_is_not_packaged(tmp_path):
    folder = publish(tmp_path / "out")
    (folder / "config.json").write_text("{}")
    with pytest.raises(CompressError) as caught:
        package_docker(folder, tmp_path / "image")
    assert caught.value.code == "artifact-changed"
    assert not (tmp_path / "image").exists()
