"""What a log shows of long work, where there is no terminal."""

from __future__ import annotations

import time
from io import StringIO

import pytest

from compress.cli.console import Console
from compress.cli.plain_progress import plain_lines


def test_a_line_stands_there_before_the_work_begins():
    stream = StringIO()
    console = Console(stderr=stream)
    with console.track("measure speed", 20):
        assert stream.getvalue() == "measure speed ...\n"
    _, last = stream.getvalue().splitlines()
    assert last.startswith("measure speed: 0.")


@pytest.mark.parametrize(
    ("total", "words"), [(4, "heal: 50% after 0 s"), (None, "heal: still at it after 0 s")]
)
def test_long_work_says_how_far_it_is(total, words):
    stream = StringIO()
    with plain_lines(stream, "heal", total, every_s=0.02) as advance:
        advance(2)
        for _ in range(500):
            if words in stream.getvalue():
                break
            time.sleep(0.01)
    assert words in stream.getvalue()


def test_work_that_fails_ends_its_lines():
    stream = StringIO()
    with pytest.raises(ValueError, match="no"), plain_lines(stream, "heal", 4, every_s=0.01):
        raise ValueError("no")
    said = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == said == "heal ...\n"


def test_quiet_says_nothing():
    stream = StringIO()
    with Console(stderr=stream, verbosity=-1).track("heal") as advance:
        advance()
    assert stream.getvalue() == ""
