"""The middleware that reads bodies, called without a server."""

from __future__ import annotations

import anyio
import pytest

pytest.importorskip("fastapi")

from compress.serve.body import WholeBody
from compress.serve.limits import Limits

_SCOPE = {"type": "http"}


def chunks(*bodies, then=anyio.sleep_forever):
    waiting = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    waiting[-1]["more_body"] = False

    async def receive():
        if not waiting:
            await then()
            return {"type": "http.disconnect"}
        return waiting.pop(0)

    return receive


class Answers(list):
    async def __call__(self, message):
        self.append(message)

    @property
    def status(self):
        return self[0]["status"]


async def _echo(scope, receive, send):
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


def test_the_route_gets_the_whole_body():
    answers = Answers()
    anyio.run(WholeBody(_echo, limits=Limits()), _SCOPE, chunks(b'{"a"', b": ", b"1}"), answers)
    assert answers[1]["body"] == b'{"a": 1}'


def test_a_request_ends_when_its_client_is_gone():
    ended = []

    async def endless(scope, receive, send):
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def leaves():
        await anyio.sleep(0.01)

    async def main():
        with anyio.fail_after(10):
            await WholeBody(endless, limits=Limits())(_SCOPE, chunks(b"{}", then=leaves), Answers())

    anyio.run(main)
    assert ended == [True]


def test_bytes_of_all_bodies_are_bounded_and_given_back():
    middleware = WholeBody(_echo, limits=Limits(held_bytes=10))
    for body, status in ((b"[1,2,3]", 200), (b"[1,2,3,4,5,6]", 503), (b"[1,2,3]", 200)):
        answers = Answers()
        anyio.run(middleware, _SCOPE, chunks(body), answers)
        assert answers.status == status


def test_a_body_that_is_too_slow_is_refused():
    async def trickle():
        await anyio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    answers = Answers()
    anyio.run(WholeBody(_echo, limits=Limits(patience_s=0.1)), _SCOPE, trickle, answers)
    assert answers.status == 408


def test_a_body_that_is_too_large_is_refused_after_it_was_sent():
    answers = Answers()
    receive = chunks(*[b"x" * 10] * 7)
    anyio.run(WholeBody(_echo, limits=Limits(body_bytes=15)), _SCOPE, receive, answers)
    assert answers.status == 413
    assert (b"connection", b"close") in answers[0]["headers"]
