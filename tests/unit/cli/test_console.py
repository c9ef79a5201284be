"""No word of a stranger's reaches a terminal as more than text, whichever way it is printed."""

from __future__ import annotations

import io
import json

import pytest
from rich.table import Table
from rich.text import Text

from compress.cli.console import Console
from compress.cli.tables import plan_tables

HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\u202eevil\r\nerror[fake]: x\x7f"
HIDDEN = set("\x1b\x07\x9b\u202e\r\x7f\x00")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[io.StringIO, Terminal], ids=["pipe", "terminal"])
def console(request, monkeypatch):
    # Colours are rich's own escapes: off, so that any that are left are the stranger's.
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    return Console(stdout=request.param(), stderr=request.param(), verbosity=1)


def lines(stream: io.StringIO) -> list[str]:
    text = stream.getvalue()
    assert not HIDDEN & set(text), repr(text)
    return text.splitlines()


@pytest.mark.parametrize("method", ["note", "warn", "error", "debug"])
def test_a_message_is_one_line_of_text(console, method) -> None:
    getattr(console, method)(f"tensor '{HOSTILE}' is too long")
    (line,) = lines(console._stderr)
    assert "\\x1b[2J" in line
    assert "\\u202eevil" in line


def test_a_hint_is_one_line_of_text(console) -> None:
    console.error("wrong", f"did you mean '{HOSTILE}'?")
    assert len(lines(console._stderr)) == 2


def test_a_megabyte_is_not_printed(console) -> None:
    console.error("x" * 10**6)
    assert len(console._stderr.getvalue()) < 5000


def test_an_answer_is_one_line_of_text(console) -> None:
    console.out(HOSTILE)
    assert len(lines(console._stdout)) == 1


def test_what_a_model_writes_keeps_its_lines_alone(console) -> None:
    console.write(f"first\n{HOSTILE}")
    assert lines(console._stdout)[0] == "first"


def test_a_table_shows_escapes_in_every_part(console) -> None:
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE, footer=HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    console.print(table, Text(HOSTILE), HOSTILE)
    text = "".join(lines(console._stdout))
    assert text.count("evil") >= 5


def test_brackets_of_strangers_are_no_markup(console) -> None:
    table = Table()
    table.add_column("[bold]part[/bold]")
    table.add_row("[link=http://evil]model.safetensors[/link] :smile:")
    console.print(table)
    text = console._stdout.getvalue()
    assert "[bold]part[/bold]" in text
    assert "[link=http://evil]model.safetensors[/link] :smile:" in text


def test_the_title_of_a_step_is_one_line_of_text(console) -> None:
    with console.track(f"judge '[red]{HOSTILE}[/red]'", 1) as advance:
        advance()
    shown = console._stderr.getvalue()
    assert "\\x1b[2J" in shown
    assert "[red]" in shown
    assert not {"\x07", "\x9b", "\u202e"} & set(shown)


def test_a_plan_of_a_hostile_model_is_text(console) -> None:
    document = {
        "model": {"ref": HOSTILE, "task": HOSTILE, "kind": "encoder", "parameters": 1},
        "candidates": [
            {"name": HOSTILE, "runtime": HOSTILE, "steps": [{HOSTILE: {}}], "estimated_bytes": 1,
             "unless": [HOSTILE]}
        ],
        "settings": {HOSTILE: {"value": HOSTILE, "origin": "file"}},
        "target": HOSTILE, "differences": [HOSTILE], "limits": [],
    }  # fmt: skip
    console.print(*plan_tables(document))
    lines(console._stdout)


def test_json_stays_valid_and_holds_the_name_itself(console) -> None:
    console.json({"name": HOSTILE})
    assert json.loads("\n".join(lines(console._stdout)))["name"] == HOSTILE


def test_a_traceback_keeps_its_lines_alone(console) -> None:
    console.traceback(f"Traceback:\n  {HOSTILE}\n")
    assert lines(console._stderr)[0] == "Traceback:"
