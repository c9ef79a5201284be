from __future__ import annotations

import json

import pytest

from compress.cli.main import main
from tests.unit.cli.artifact import publish


@pytest.fixture
def artifact(tmp_path):
    return publish(tmp_path / "out")


@pytest.mark.parametrize("form", ["html", "md", "json"])
def test_rendering_again_gives_the_published_file(artifact, capsys, form):
    assert main(["report", str(artifact), "--format", form]) == 0
    published = (artifact / f"report.{form}").read_text(encoding="utf8")
    assert capsys.readouterr().out.rstrip("\n") == published.rstrip("\n")


def test_the_summary_is_the_default(artifact, capsys):
    assert main(["report", str(artifact)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("PASSED  3.94x smaller")
    assert "\x1b" not in captured.out
    assert captured.err == ""


def test_json_flag(artifact, capsys):
    assert main(["report", str(artifact), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gate"]["verdict"] == "pass"


@pytest.mark.parametrize("form", ["text", "html"])
def test_output_to_a_file(artifact, tmp_path, capsys, form):
    path = tmp_path / "again"
    path.write_text("old", encoding="utf8")
    assert main(["report", str(artifact), "--format", form, "-o", str(path), "-q"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert "22.9 MB" in path.read_text(encoding="utf8")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["again", "out"]


def test_the_artifact_itself_is_left_alone(artifact, tmp_path):
    before = {path: path.read_bytes() for path in artifact.rglob("*")}
    for form in ("text", "html", "md", "json"):
        main(["report", str(artifact), "--format", form, "-o", str(tmp_path / form)])
    assert {path: path.read_bytes() for path in artifact.rglob("*")} == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nowhere"], "report-missing"),
        (["{artifact}", "-o", "nowhere/report.html", "--format", "html"], "output-unwritable"),
        (["{artifact}", "--format", "pdf"], "usage"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_a_hint(artifact, capsys, monkeypatch, arguments, code):
    monkeypatch.chdir(artifact.parent)
    assert main(["report", *(word.format(artifact=artifact) for word in arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error, hint = captured.err.splitlines()
    assert error.startswith(f"error[{code}]: ")
    assert hint.startswith("hint: ")
    assert not (artifact.parent / "nowhere").exists()


def test_a_report_that_was_edited_badly(artifact, capsys):
    (artifact / "report.json").write_text("{}", encoding="utf8")
    assert main(["report", str(artifact)]) == 2
    assert "error[report-invalid]" in capsys.readouterr().err
