"""A decoder behind HTTP: completions as OpenAI's clients ask for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from compress.pipeline.manifest import read_manifest
from compress.pipeline.package import requirements
from compress.runtime import decoder
from compress.runtime.decoder import Decoder

pytestmark = pytest.mark.model
testclient = pytest.importorskip("fastapi.testclient")


@pytest.fixture(scope="module")
def artifact(published_decoder):
    return published_decoder


@pytest.fixture(scope="module")
def model(artifact):
    from compress.serve.model import Served

    return Served(artifact, threads=1)


@pytest.fixture(scope="module")
def client(model):
    from compress.serve.app import create_app

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
