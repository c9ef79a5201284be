"""The routes: health, metadata, predict, and embeddings as OpenAI's clients ask for them."""

from __future__ import annotations

import base64
import logging
from time import time
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict

from compress.core.errors import CompressError
from compress.core.version import VERSION
from compress.core.visible import visible
from compress.runtime.generate import LoadedDecoder
from compress.serve.answers import Json, encoded, encoding, error_answer, json_of_list
from compress.serve.body import WholeBody
from compress.serve.completions import Chat, Completion, Written, write
from compress.serve.limits import Limits
from compress.serve.model import Served
from compress.serve.queue import Busy, Queue
from compress.serve.rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from compress.runtime.preprocess import Row

_log = logging.getLogger("compress.serve")


class Prediction(BaseModel):
    """What `/v1/predict` takes: an item or a list of items, as the task wants them."""

    model_config = ConfigDict(extra="forbid")
    inputs: Any


class Embedding(BaseModel):
    """What `/v1/embeddings` takes; `model`, `user` and `dimensions` of OpenAI's interface are not used."""

    model_config = ConfigDict(extra="ignore")
    input: Any
    encoding_format: Literal["float", "base64"] = "float"


def create_app(model: Served, limits: Limits | None = None) -> FastAPI:
    """The application over a loaded model."""
    limits = limits or Limits()
    app = FastAPI(title=f"compress: {model.name}", version=VERSION, default_response_class=Json)
    app.add_middleware(WholeBody, limits=limits)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(CompressError, _unusable)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(Exception, _broken)
    queue = Queue(limits)
    _add_facts(app, model)
    _add_predict(app, model, limits, queue)
    if model.task == "feature-extraction" and model.modality == "text":
        _add_embeddings(app, model, limits, queue)
    if model.decoder is not None:
        _add_completions(app, model.name, model.decoder, limits, queue)
    return app


def _add_facts(app: FastAPI, model: Served) -> None:
    @app.get("/health")
    async def health() -> Json:
        """The model is loaded: nothing is answered before it is."""
        return Json({"status": "ok"})

    @app.get("/metadata")
    async def metadata() -> Json:
        """What is served."""
        return Json(model.metadata())


def _add_predict(app: FastAPI, model: Served, limits: Limits, queue: Queue) -> None:
    @app.post("/v1/predict")
    async def predict(body: Prediction, request: Request) -> Json:
        """The task's answer to each item, in their order."""
        rows = rows_of(body.inputs, task=model.task, modality=model.modality, limits=limits)
        outputs = await queue.run(encoding(model.predict(rows)), client=_client(request))
        return json_of_list("outputs", outputs, task=model.task)


def _add_embeddings(app: FastAPI, model: Served, limits: Limits, queue: Queue) -> None:
    @app.post("/v1/embeddings")
    async def embeddings(body: Embedding, request: Request) -> Json:
        """OpenAI's embeddings interface."""
        rows = rows_of(body.input, task=model.task, modality=model.modality, limits=limits)
        work = _embedded(model, rows, body.encoding_format)
        data, tokens = await queue.run(work, client=_client(request))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_of_list("data", data, object="list", model=model.name, usage=usage)


def _add_completions(app: FastAPI, name: str, decoder: LoadedDecoder, limits: Limits, queue: Queue) -> None:
    @app.post("/v1/completions")
    async def completions(body: Completion, request: Request) -> Json:
        """OpenAI's completions interface."""
        work = write(decoder, body.prompt, body, chat=False, limits=limits)
        found = await queue.run(work, client=_client(request))
        choice = {"index": 0, "text": found.text, "finish_reason": found.reason, "logprobs": None}
        return _completed("text_completion", name, choice, found)

    @app.post("/v1/chat/completions")
    async def chat(body: Chat, request: Request) -> Json:
        """OpenAI's chat interface, for one turn."""
        work = write(decoder, body.messages[0].content, body, chat=True, limits=limits)
        found = await queue.run(work, client=_client(request))
        message = {"role": "assistant", "content": found.text}
        choice = {"index": 0, "message": message, "finish_reason": found.reason}
        return _completed("chat.completion", name, choice, found)


def _completed(kind: str, name: str, choice: dict[str, Any], found: Written) -> Json:
    facts = {"id": f"cmpl-{uuid4().hex}", "object": kind, "created": int(time()), "model": name}
    return Json({**facts, "choices": [choice], "usage": found.usage})


def _embedded(
    model: Served, rows: Sequence[Row], form: str
) -> Generator[None, None, tuple[list[bytes], int]]:
    vectors, tokens = yield from model.embed(rows)
    data = []
    for index, vector in enumerate(vectors):
        embedding = {"object": "embedding", "index": index, "embedding": _written(vector, form)}
        data.append(encoded(embedding))
        yield
    return data, tokens


def _written(vector: Any, form: str) -> Any:
    """Numbers, or the bytes of little-endian float32 as base64, which OpenAI's client asks for."""
    if form == "float":
        return vector.tolist()
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _client(request: Request) -> str:
    """Name who asks, for an equal share of the places in the queue."""
    return request.client.host if request.client else ""


async def _invalid(request: Request, error: Exception) -> Json:
    """Say which fields are wrong, without a word of what the client sent."""
    del request
    assert isinstance(error, RequestValidationError)
    fields = [f"{'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}" for problem in error.errors()]
    return error_answer(422, "request-invalid", visible("; ".join(fields)[:500]), "see /docs")


async def _unusable(request: Request, error: Exception) -> Json:
    del request
    assert isinstance(error, CompressError)
    return error_answer(422 if error.exit_code == 2 else 500, error.code, error.message, error.hint)


async def _busy(request: Request, error: Exception) -> Json:
    del request, error
    return error_answer(503, "busy", "too many requests are waiting", "try again")


async def _broken(request: Request, error: Exception) -> Json:
    """What went wrong is for the log, not for whoever asked."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_answer(500, "internal", "the server failed", "see its log")
