"""The routes: health, metadata, predict, and embeddings as OpenAI's clients ask for them."""

from __future__ import annotations

import base64
import logging
from time import time
from typing import Any, Literal
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from compress.core.errors import CompressError
from compress.core.version import VERSION
from compress.runtime.generate import LoadedDecoder
from compress.serve.body import BodyLimit
from compress.serve.completions import Chat, Completion, Written, write
from compress.serve.model import Served
from compress.serve.queue import Busy, Queue
from compress.serve.rows import Limits, rows_of

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
    app = FastAPI(title=f"compress: {model.name}", version=VERSION)
    app.add_middleware(BodyLimit, limit=limits.body_bytes)
    app.add_exception_handler(CompressError, _unusable)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(Exception, _broken)
    queue = Queue(workers=limits.workers, waiting=limits.waiting)
    _add_facts(app, model)
    _add_predict(app, model, limits, queue)
    if model.task == "feature-extraction" and model.modality == "text":
        _add_embeddings(app, model, limits, queue)
    if model.decoder is not None:
        _add_completions(app, model.name, model.decoder, queue)
    return app


def _add_facts(app: FastAPI, model: Served) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """The model is loaded: nothing is answered before it is."""
        return {"status": "ok"}

    @app.get("/metadata")
    async def metadata() -> dict[str, Any]:
        """What is served."""
        return model.metadata()


def _add_predict(app: FastAPI, model: Served, limits: Limits, queue: Queue) -> None:
    @app.post("/v1/predict")
    async def predict(body: Prediction) -> dict[str, Any]:
        """The task's answer to each item, in their order."""
        rows = rows_of(body.inputs, task=model.task, modality=model.modality, limits=limits)
        return {"task": model.task, "outputs": await queue.run(lambda: model.predict(rows))}


def _add_embeddings(app: FastAPI, model: Served, limits: Limits, queue: Queue) -> None:
    @app.post("/v1/embeddings")
    async def embeddings(body: Embedding) -> dict[str, Any]:
        """OpenAI's embeddings interface."""
        rows = rows_of(body.input, task=model.task, modality=model.modality, limits=limits)
        vectors, tokens = await queue.run(lambda: (model.embed(rows), model.tokens(rows)))
        written = [_written(vector, body.encoding_format) for vector in vectors]
        data = [{"object": "embedding", "index": n, "embedding": one} for n, one in enumerate(written)]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": model.name, "usage": usage}


def _add_completions(app: FastAPI, name: str, decoder: LoadedDecoder, queue: Queue) -> None:
    @app.post("/v1/completions")
    async def completions(body: Completion) -> dict[str, Any]:
        """OpenAI's completions interface."""
        found = await queue.run(lambda: write(decoder, body.prompt, body, chat=False))
        choice = {"index": 0, "text": found.text, "finish_reason": found.reason, "logprobs": None}
        return _completed("text_completion", name, choice, found)

    @app.post("/v1/chat/completions")
    async def chat(body: Chat) -> dict[str, Any]:
        """OpenAI's chat interface, for one turn."""
        found = await queue.run(lambda: write(decoder, body.messages[0].content, body, chat=True))
        message = {"role": "assistant", "content": found.text}
        choice = {"index": 0, "message": message, "finish_reason": found.reason}
        return _completed("chat.completion", name, choice, found)


def _completed(kind: str, name: str, choice: dict[str, Any], found: Written) -> dict[str, Any]:
    facts = {"id": f"cmpl-{uuid4().hex}", "object": kind, "created": int(time()), "model": name}
    return {**facts, "choices": [choice], "usage": found.usage}


def _written(vector: Any, form: str) -> Any:
    """Numbers, or the bytes of little-endian float32 as base64, which OpenAI's client asks for."""
    if form == "float":
        return vector.tolist()
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


async def _unusable(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, CompressError)
    content = {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    return JSONResponse(content, status_code=422 if error.exit_code == 2 else 500)


async def _busy(request: Request, error: Exception) -> JSONResponse:
    del request, error
    content = {"error": {"code": "busy", "message": "too many requests are waiting", "hint": "try again"}}
    return JSONResponse(content, status_code=503, headers={"Retry-After": "1"})


async def _broken(request: Request, error: Exception) -> JSONResponse:
    """What went wrong is for the log, not for whoever asked."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    content = {"error": {"code": "internal", "message": "the server failed", "hint": "see its log"}}
    return JSONResponse(content, status_code=500)
