"""A decoder behind HTTP: completions as OpenAI's clients ask for them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from compress.pipeline.manifest import read_manifest
from compress.pipeline.package import requirements
from compress.runtime import decoder
from compress.runtime.decoder import Decoder
from compress.serve.limits import Limits
from compress.serve.model import Served

testclient = pytest.importorskip("fastapi.testclient")
create_app = pytest.importorskip("compress.serve.app").create_app
pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def artifact(published_decoder):
    return published_decoder


@pytest.fixture(scope="module")
def model(artifact):
    return Served(artifact, threads=1)


@pytest.fixture(scope="module")
def client(model):
    with testclient.TestClient(create_app(model)) as client:
        yield client


def complete(client, **body):
    answer = client.post("/v1/completions", json={"prompt": "the quick brown", "max_tokens": 8, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_likeliest_tokens_are_written(client, model):
    found = complete(client)
    assert found["choices"][0]["text"] == model.decoder.generate("the quick brown", tokens=8)
    assert found["choices"][0]["finish_reason"] in ("length", "stop")
    prompt = len(model.decoder.tokens("the quick brown"))
    assert found["usage"]["prompt_tokens"] == prompt
    assert 0 < found["usage"]["completion_tokens"] <= 8
    assert found["model"] == "org/decoder"


def test_a_seed_gives_the_same_again(client):
    one, two = (complete(client, temperature=1.5, seed=7)["choices"][0]["text"] for _ in range(2))
    assert one == two


def test_writing_ends_before_a_stop(client):
    text = complete(client)["choices"][0]["text"]
    stop = text[len(text) // 2 :][:2]
    found = complete(client, stop=[stop])["choices"][0]
    assert found["text"] == text[: text.index(stop)]
    assert found["finish_reason"] == "stop"


def test_prompts_that_are_written_at_once_do_not_mix(client):
    prompts = ["the quick", "a lazy dog", "models are", "prove that"]
    expected = [complete(client, prompt=prompt)["choices"][0]["text"] for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: complete(client, prompt=prompts[n % 4]), range(24)))
    assert [one["choices"][0]["text"] for one in found] == expected * 6


@pytest.mark.parametrize(
    "body",
    [{}, {"prompt": ""}, {"prompt": 1}, {"prompt": "a", "max_tokens": 0}, {"prompt": "a", "temperature": 9},
     {"prompt": "a", "stream": True}, {"prompt": "a", "n": 2}, {"prompt": "the " * 500}],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(client, body):
    assert 400 <= client.post("/v1/completions", json=body).status_code < 500


def test_a_model_without_a_template_does_not_chat(client):
    turns = [{"role": "user", "content": "the quick"}]
    assert client.post("/v1/chat/completions", json={"messages": turns}).status_code == 422
    assert client.post("/v1/chat/completions", json={"messages": turns * 2}).status_code == 422


def test_its_image_has_the_runtime_of_decoders(artifact):
    names = [line.split("==")[0] for line in requirements(artifact, read_manifest(artifact))]
    assert "onnxruntime-genai" in names
    assert "torch" not in names


def test_a_decoder_computes_with_the_usable_cores(published_decoder, monkeypatch):
    def threads_of(threads: int) -> int:
        before = psutil.Process().num_threads()
        model = Decoder(published_decoder, threads=threads)
        started = psutil.Process().num_threads() - before
        del model
        return started

    threads_of(1)  # the runtime's first model starts a thread of its own
    one = threads_of(1)
    monkeypatch.setattr(decoder, "usable_cores", lambda: 4)
    assert threads_of(0) == one + 3


def test_a_prompt_that_is_read_in_parts_is_the_same_prompt(model):
    ids = model.decoder.tokens("the quick brown fox jumps over a lazy dog")
    whole = list(model.decoder.pieces(ids, tokens=8))
    parts = list(model.decoder.pieces_in_parts(ids, tokens=8, part=3))
    assert [piece for piece in parts if piece is not None] == whole
    assert parts.count(None) == (len(ids) - 1) // 3


@pytest.mark.parametrize(
    ("limits", "body"),
    [({"new_tokens": 4}, {"max_tokens": 5}), ({"prompt_tokens": 2}, {}), ({"item_characters": 8}, {})],
)
def test_more_work_than_a_request_may_ask_for_is_refused(model, limits, body):
    with testclient.TestClient(create_app(model, Limits(**limits))) as client:
        answer = client.post("/v1/completions", json={"prompt": "the quick brown", **body})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] in ("input-invalid", "prompt-length")


@pytest.fixture
def slow_model(model, monkeypatch):
    """The model, which now takes 20 ms for a token."""
    pieces = type(model.decoder).pieces_in_parts

    def slowly(*args, **kwargs):
        for piece in pieces(*args, **kwargs):
            time.sleep(0.02)
            yield piece

    monkeypatch.setattr(type(model.decoder), "pieces_in_parts", slowly)
    return model


def test_writing_ends_when_the_time_of_a_request_is_over(slow_model):
    with testclient.TestClient(create_app(slow_model, Limits(compute_s=0.2))) as client:
        found = complete(client, max_tokens=60)
    assert found["choices"][0]["finish_reason"] == "length"
    assert 0 < found["usage"]["completion_tokens"] < 60


def test_a_short_completion_comes_before_the_longest(slow_model):
    finished = []

    def ask(name, tokens):
        finished.append((name, complete(client, max_tokens=tokens)["usage"]["completion_tokens"]))

    application = create_app(slow_model, Limits(workers=1))
    with testclient.TestClient(application) as client, ThreadPoolExecutor(3) as pool:
        longest = [pool.submit(ask, "long", 50) for _ in range(2)]
        time.sleep(0.3)
        short = pool.submit(ask, "short", 2)
        for request in (*longest, short):
            request.result()
    assert finished[0] == ("short", 2)
