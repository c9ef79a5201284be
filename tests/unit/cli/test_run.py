"""What `compress run` says of an artifact that missed its budget."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.cli.main import main
from compress.core.errors import ExitCode
from tests.unit.report import example


@pytest.fixture
def missed(monkeypatch, tmp_path):
    """A run whose artifact is too large: the folder where it is kept."""
    report = example.report()
    lines = tuple(line.model_copy(update={"verdict": "fail"}) for line in report.gate.budgets)
    gate = report.gate.model_copy(update={"verdict": "fail", "budgets": lines})
    kept = tmp_path / "cache" / "failed" / "out"
    outcome = SimpleNamespace(
        folder=None,
        kept=kept,
        report=report.model_copy(update={"gate": gate}),
        evidence=example.evidence(),
        exit_code=ExitCode.BUDGET_MISSED,
    )
    monkeypatch.setattr("compress.api.run_settings", lambda *_, **__: outcome)
    monkeypatch.chdir(tmp_path)
    return kept


@pytest.mark.parametrize("words", [[], ["--keep-failed"], ["--json"]])
def test_a_failed_gate_says_where_the_artifact_is(missed: Path, words, capsys):
    assert main(["run", "org/name", *words]) == 1
    said = capsys.readouterr()
    assert "error[budget-missed]" in said.err
    assert f"nothing was published, the artifact is kept in {missed} " in said.err
    assert "published in" not in said.out
