"""Requests take turns: what is large waits for itself, not others for it."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

pytest.importorskip("fastapi")

from compress.serve.limits import Limits
from compress.serve.queue import Admission, Busy, OutOfTime, Queue


def counted(parts, log, name):
    """Work of so many parts of a millisecond and more."""
    try:
        for _ in range(parts):
            anyio.from_thread.run(anyio.sleep, 0.001)
            log.append(name)
            yield
    finally:
        log.append(f"{name} ends")
    return name


def test_a_small_request_beside_two_of_the_largest_is_not_kept_waiting():
    log = []
    queue = Queue(Limits(workers=2))

    async def ask(name, parts):
        assert await queue.run(counted(parts, log, name)) == name

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "big", 300)
            tasks.start_soon(ask, "huge", 300)
            await anyio.sleep(0.05)
            tasks.start_soon(ask, "small", 3)

    anyio.run(main)
    done = log.index("small ends")
    assert done < log.index("big ends")
    assert done < log.index("huge ends")
    assert log[:done].count("big") < 200


def test_work_of_a_client_that_is_gone_stops():
    log = []
    queue = Queue(Limits(workers=1))

    async def main():
        with anyio.move_on_after(0.1):
            await queue.run(counted(100_000, log, "work"))
        assert log[-1] == "work ends"
        return await queue.run(counted(1, [], "next"))

    assert anyio.run(main) == "next"
    assert log.count("work") < 1000


def test_work_ends_when_a_request_has_computed_long_enough():
    queue = Queue(Limits(compute_s=0.05))

    def endless():
        while True:
            yield

    def modest():
        try:
            yield from endless()
        except OutOfTime:
            return "what there is"

    with pytest.raises(OutOfTime) as caught:
        anyio.run(queue.run, endless())
    assert caught.value.exit_code == 2
    assert anyio.run(queue.run, modest()) == "what there is"


def test_an_error_of_the_work_is_the_callers():
    def failing():
        yield
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        anyio.run(Queue(Limits()).run, failing())


async def _enter(admission, order, client, number):
    async with admission.admitted(client):
        order.append((client, number))
        await anyio.sleep(0.001)


def test_a_client_with_many_requests_waits_longer_than_one_with_few():
    order = []
    admission = Admission(active=1, waiting=100)

    async def main():
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(_enter, admission, order, "many", number)
            await anyio.sleep(0)
            for number in range(3):
                tasks.start_soon(_enter, admission, order, "few", number)

    anyio.run(main)
    assert len(order) == 23
    assert max(order.index(("few", number)) for number in range(3)) <= 6
    assert [number for client, number in order if client == "many"] == list(range(20))


def test_one_client_leaves_places_to_wait_to_the_others():
    admission = Admission(active=1, waiting=4)

    async def main():
        async with anyio.create_task_group() as tasks:
            order = []
            for number in range(3):
                tasks.start_soon(_enter, admission, order, "one", number)
            await anyio.sleep(0)
            with pytest.raises(Busy):
                await _enter(admission, order, "one", 3)
            await _enter(admission, order, "other", 0)

    anyio.run(main)


def test_places_of_those_who_gave_up_are_free():
    admission = Admission(active=1, waiting=2)

    async def main():
        async with admission.admitted("holds"):
            for _ in range(5):
                with anyio.move_on_after(0.005):
                    async with admission.admitted("gives up"):
                        raise AssertionError("there was no place")
        with anyio.fail_after(5):
            async with admission.admitted("next"):
                pass

    anyio.run(partial(main))
