"""`compress run` without a model: the jobs of the project file, with runs that are made up."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import compress.api
from compress.cli.main import main
from compress.core.errors import CompressError, ExitCode
from compress.pipeline.run import Outcome
from tests.unit.report import example

PROJECT = """
max_drop: 2%
out: artifacts
jobs:
  - model: good
    targets: [cpu, laptop]
  - model: large
    max_size: 1MB
    out: elsewhere
"""


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Calls of the main job by (model, settings); `large` misses its budget."""
    monkeypatch.chdir(tmp_path)
    seen = []

    def run(model, settings, progress, device=None):
        values = settings.values
        seen.append((model, values))
        if model == "broken":
            raise CompressError("model-missing", "there is none", hint="name another")
        if model == "crash":
            raise ZeroDivisionError("oh")
        missed = model == "large"
        return Outcome(
            folder=None if missed else Path(values.out or "there"),
            report=example.report("fail" if missed else "pass"),
            evidence=example.evidence(),
            exit_code=ExitCode.BUDGET_MISSED if missed else ExitCode.OK,
        )

    monkeypatch.setattr(compress.api, "_run", run)
    return seen


def write(text):
    Path("compress.yaml").write_text(text)


def test_every_model_and_target_is_run_with_its_settings(runs, capsys):
    write(PROJECT)
    assert main(["run"]) == 1
    assert [(model, values.target, values.max_size) for model, values in runs] == [
        ("good", "cpu", None), ("good", "laptop", None), ("large", "cpu", "1MB"),
    ]  # fmt: skip
    assert {values.max_drop for _, values in runs} == {"2%"}
    assert [values.out for _, values in runs] == ["artifacts/good-cpu", "artifacts/good-laptop", "elsewhere"]
    captured = capsys.readouterr()
    assert captured.out.count("good") >= 2
    assert "error[budget-missed]" in captured.err


def test_flags_win_over_jobs(runs):
    write(PROJECT)
    main(["run", "--max-size", "9MB", "-q"])
    assert {values.max_size for _, values in runs} == {"9MB"}


def test_an_error_does_not_keep_the_others_from_their_turn(runs, capsys):
    write("jobs:\n- model: broken\n- model: crash\n- model: good\n")
    assert main(["run", "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [job["exit_code"] for job in document["jobs"]] == [2, 3, 0]
    assert document["exit_code"] == 3
    assert document["jobs"][2]["report"]["gate"]["verdict"] == "pass"


def test_summary_and_junit_are_written_whatever_happens(runs, tmp_path):
    write("jobs:\n- model: broken\n- model: large\n")
    files = ["--summary", "new/summary.md", "--junit", "junit.xml"]
    assert main(["run", *files]) == 2
    assert "there is none" in Path("new/summary.md").read_text()
    root = ET.parse("junit.xml").getroot()
    assert (root.get("errors"), root.get("failures")) == ("1", "1")
    assert main(["run", "broken", *files]) == 2
    assert Path("new/summary.md").read_text().count("name another") == 2, "it is added to"


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        (None, "jobs-missing", "compress.yaml"),
        ("seed: 1\n", "jobs-missing", "compress.yaml"),
        ("jobs: demo\n", "jobs-missing", "jobs"),
        ("jobs:\n- demo\n", "settings-invalid", "jobs.0"),
        ("jobs:\n- model: x\n- target: cpu\n", "settings-invalid", "jobs.1"),
        ("jobs:\n- model: x\n  tarket: cpu\n", "settings-invalid", "tarket"),
        ("jobs:\n- model: x\n  targets: cpu\n", "settings-invalid", "list"),
        ("jobs:\n- model: x\n  targets: [cpu, laptop]\n  out: one\n", "settings-invalid", "out"),
    ],
)
def test_what_is_no_project_is_refused_before_anything_runs(runs, capsys, text, code, word):
    if text is not None:
        write(text)
    assert main(["run"]) == 2
    said = capsys.readouterr().err
    assert f"error[{code}]" in said
    assert word in said
    assert runs == []


@pytest.mark.parametrize(
    ("jobs", "folder"),
    [
        ("- {model: org/same}\n- {model: other/same}\n", "same-cpu"),
        ("- {model: a, out: one}\n- {model: b, out: ./x/../one}\n", "one"),
        ("- {model: a, target: cpu}\n- {model: a, targets: [laptop, cpu]}\n", "a-cpu"),
    ],
)
def test_outputs_that_collide_are_refused_before_anything_runs(runs, capsys, jobs, folder):
    write(f"jobs:\n{jobs}")
    assert main(["run"]) == 2
    said = capsys.readouterr().err
    assert "error[output-collides]" in said
    assert folder in said
    assert runs == []


def test_an_output_that_exists_is_refused_before_anything_runs(runs, capsys):
    Path("there").mkdir()
    Path("there/file").write_text("x")
    write("jobs:\n- {model: a}\n- {model: b, out: there}\n")
    assert main(["run"]) == 2
    assert "error[output-exists]" in capsys.readouterr().err
    assert runs == []


def test_jobs_do_not_disturb_a_run_of_one_model(runs):
    write(PROJECT)
    assert main(["run", "good", "-q"]) == 0
    assert [(model, values.target) for model, values in runs] == [("good", "cpu")]


def test_check_against_an_older_artifact(tmp_path, capsys):
    from tests.unit.cli.artifact import publish

    old = publish(tmp_path / "old")
    larger = example.report()
    larger = larger.model_copy(update={"result": larger.result.model_copy(update={"size_bytes": 50_000_000})})
    new = publish(tmp_path / "new", report=larger)
    assert main(["check", str(old), "--against", str(old)]) == 0
    assert main(["check", str(new), "--against", str(old), "--junit", str(tmp_path / "j.xml")]) == 1
    assert "before, +1%" in capsys.readouterr().out
    assert ET.parse(tmp_path / "j.xml").getroot().get("failures") == "1"
    assert main(["check", str(old), "--against", str(new), "--max-size", "1MB"]) == 1
