from __future__ import annotations

import json

import pytest

from compress.cli.main import main
from tests.unit.cli.artifact import publish
from tests.unit.report import example


@pytest.fixture
def artifact(tmp_path):
    return publish(tmp_path / "out")


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 4)])
def test_without_budgets_the_saved_verdict_stands(tmp_path, capsys, verdict, code):
    folder = publish(tmp_path / "out", report=example.report(verdict))
    assert main(["check", str(folder)]) == code
    word = {"pass": "PASSED", "fail": "FAILED", "inconclusive": "INCONCLUSIVE"}[verdict]
    assert capsys.readouterr().out.startswith(word)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--max-drop", "1%"], 0),
        (["--max-drop", "0.5pt"], 0),
        (["--max-drop", "0.3pt"], 4),
        (["--max-drop", "0.2pt"], 1),
        (["--min-speedup", "2x"], 0),
        (["--min-speedup", "2.25"], 4),
        (["--min-speedup", "3x"], 1),
        (["--max-size", "23MB"], 0),
        (["--max-size", "18MB"], 1),
        (["--max-latency", "6ms"], 0),
        (["--max-latency", "1ms"], 1),
        (["--max-memory", "150MB"], 0),
        (["--max-memory", "100MB"], 1),
        (["--max-size", "18MB", "--max-drop", "0.3pt"], 1),
        (["--max-size", "23MB", "--max-drop", "0.3pt"], 4),
    ],
)
def test_budgets(artifact, capsys, arguments, code):
    """The example: drop 0.26 pt (bound 0.41), 2.28x (2.22 to 2.34), 22.9 MB,
    5.21 ms at the 95th percentile, 131 MB."""
    assert main(["check", str(artifact), *arguments, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == {0: "pass", 1: "fail", 4: "inconclusive"}[code]
    assert len(document["budgets"]) == len(arguments) // 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--max-drop", "lots"], "budget-invalid"),
        (["--max-size", "0"], "budget-invalid"),
        (["--min-speedup", "fast"], "budget-invalid"),
        (["--max-latency", "-1ms"], "budget-invalid"),
    ],
)
def test_budgets_that_cannot_be_read(artifact, capsys, arguments, code):
    assert main(["check", str(artifact), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error[{code}]: ")


def test_an_undecided_drop_tells_how_many_items_would_decide(artifact, capsys):
    assert main(["check", str(artifact), "--max-drop", "0.3pt"]) == 4
    assert "items would decide it" in capsys.readouterr().err


def test_nothing_to_check(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "error[report-missing]" in capsys.readouterr().err
