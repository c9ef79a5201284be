"""The real server on loopback, against clients that are slow, greedy or send nonsense."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.pipeline.package import package_docker
from tests.unit.cli.artifact import publish
from tests.unit.serve.process import connect, running

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

_JSON = {"content-type": "application/json"}
_POST = (
    b"POST /v1/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    table = np.random.default_rng(0).normal(size=(7, 2048)).astype(np.float32)
    artifact = publish(tmp_path_factory.mktemp("served") / "out", table=table)
    return package_docker(artifact, artifact.with_name("out-docker"))


@pytest.fixture(scope="module")
def server(package):
    with running(package, "--patience", "1", "--connections", "150") as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server[1], timeout=60) as client:
        yield client


def post(client, body, path="/v1/predict"):
    return client.post(path, content=body, headers=_JSON)


async def _silent(reader, writer):
    await reader.read()


async def _half_a_head(reader, writer):
    writer.write(b"POST /v1/predict HTTP/1.1\r\nhost:")
    await reader.read()


async def _head_by_bytes(reader, writer):
    for byte in b"GET /health HTTP/1.1\r\n" + b"x-name: value\r\n" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)
        if reader.at_eof():
            return


async def _body_by_bytes(reader, writer):
    writer.write(_POST % (100_000, b'{"inputs": "'))
    for _ in range(10_000):
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.05)
        if reader.at_eof():
            return


async def _never_reads(reader, writer):
    """An answer of 10 MB is more than the system's buffers hold."""
    body = json.dumps({"inputs": ["a word"] * 256}).encode()
    writer.write(_POST % (len(body), body))
    reader._transport.pause_reading()
    connection = writer.get_extra_info("socket")
    while not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        await asyncio.sleep(0.1)


_QUICK = (_silent, _half_a_head, _head_by_bytes, _body_by_bytes)
_SLOW = [*(_QUICK[number % 4] for number in range(196)), *[_never_reads] * 4]


async def _until_dropped(kind, host, port):
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, (host, port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=1024)
    try:
        await kind(reader, writer)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


async def _attack(address, while_slow):
    parts = urlsplit(address)
    tasks = [asyncio.create_task(_until_dropped(kind, parts.hostname, parts.port)) for kind in _SLOW]
    await asyncio.sleep(0.2)
    await asyncio.to_thread(while_slow)
    await asyncio.wait_for(asyncio.gather(*tasks), timeout=60)


def test_two_hundred_slow_clients_are_dropped_and_others_are_served(server):
    answers = []

    def ask():
        for _ in range(20):
            with httpx.Client(base_url=server[1], timeout=30) as honest:
                answers.append(honest.post("/v1/predict", json={"inputs": "a word"}).status_code)

    asyncio.run(_attack(server[1], ask))
    assert answers == [200] * 20
    assert server[0].poll() is None


def test_a_body_that_does_not_come_is_told_so(server):
    with connect(server[1]) as client:
        client.sendall(_POST % (1000, b'{"inputs"'))
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"too-slow"' in answer


def test_more_connections_than_allowed_make_room_for_new_ones(server):
    silent = [connect(server[1]) for _ in range(160)]
    try:
        with connect(server[1]) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    finally:
        for each in silent:
            each.close()


_WRONG = ["NaN", "-Infinity", "1e999", '"\\ud800"', "[" * 900 + "]" * 900, "[" * 100_000, '{"\\udc00": 1}']


@pytest.mark.parametrize("value", _WRONG)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/predict", '{"inputs": %s}'),
        ("/v1/predict", '{"inputs": "a", "more": %s}'),
        ("/v1/predict", '{"inputs": {"text": "a", "text_pair": %s}}'),
        ("/v1/embeddings", '{"input": "a", "encoding_format": %s}'),
        ("/v1/embeddings", '{"input": "a", "user": %s}'),
    ],
)
def test_values_that_answers_cannot_hold_are_refused_in_json(client, path, body, value):
    answer = post(client, (body % value).encode(), path)
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["error"]["code"] in ("json-invalid", "request-invalid", "input-invalid")


def test_a_refusal_repeats_nothing_of_the_request(client):
    answer = post(client, b'{"inputs": "a", "\\u001b[31m": "SECRET"}')
    assert answer.status_code == 422
    assert "SECRET" not in answer.text
    assert "\x1b" not in answer.json()["error"]["message"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_KEYS = st.sampled_from(["inputs", "input", "encoding_format", "text", "text_pair", "question", "model"])
_BODIES = st.one_of(
    st.binary(max_size=60),
    _VALUES.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(_KEYS, _VALUES, max_size=3).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_BODIES, path=st.sampled_from(["/v1/predict", "/v1/embeddings"]))
def test_nonsense_never_breaks_the_server(client, body, path):
    answer = post(client, body, path)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    answer.json()


def test_a_small_request_comes_before_the_largest(package):
    largest = {"inputs": ["word of the text " * 120] * 256}
    finished = []

    def ask(name, body):
        answer = httpx.post(f"{address}/v1/predict", json=body, timeout=120)
        finished.append(name)
        return answer

    words = ("--threads", "1", "--workers", "1")
    with running(package, *words) as (_, address), ThreadPoolExecutor(4) as pool:
        large = [pool.submit(ask, "large", largest) for _ in range(3)]
        time.sleep(0.5)  # so that all of them are being computed
        small = pool.submit(ask, "small", {"inputs": "a word"})
        assert [one.result().status_code for one in (*large, small)] == [200] * 4
    assert finished[0] == "small"


def test_a_request_that_is_too_large_is_answered(package):
    with (
        running(package, "--patience", "60") as (_, address),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        for size in (17, 60):
            assert post(client, b'"' + b"x" * (size * 2**20)).status_code == 413
