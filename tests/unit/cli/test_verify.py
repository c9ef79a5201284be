from __future__ import annotations

import json

import numpy as np
import pytest

from compress.cli.main import main
from tests.unit.cli.artifact import WORDS, publish


def test_an_artifact_as_published_is_ok(tmp_path, capsys):
    assert main(["verify", str(publish(tmp_path / "out"))]) == 0
    captured = capsys.readouterr()
    assert captured.out == "ok: 8 files as published, runs on onnxruntime\n"
    assert "digest" in captured.err


def test_json_is_one_document(tmp_path, capsys):
    assert main(["verify", str(publish(tmp_path / "out")), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["ok"] is True
    assert document["problems"] == []
    assert document["outputs"] == {"last_hidden_state": [1, 8, 4]}


@pytest.mark.parametrize(
    "name", ["model.onnx", "tokenizer.json", "report.json", "report.html", "evidence.json", "compress.json"]
)
def test_a_flipped_byte_fails(tmp_path, capsys, name):
    path = publish(tmp_path / "out") / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert main(["verify", str(path.parent)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error, hint = captured.err.splitlines()
    assert name in error
    assert error.startswith(("error[artifact-changed]: ", "error[manifest-invalid]: "))
    assert hint.startswith("hint: ")


def test_many_problems_are_one_line_and_all_in_json(tmp_path, capsys):
    folder = publish(tmp_path / "out")
    for number in range(6):
        (folder / f"extra-{number}").touch()
    assert main(["verify", str(folder), "--json"]) == 2
    captured = capsys.readouterr()
    assert "extra-2: added; and 3 more" in captured.err.splitlines()[0]
    assert len(json.loads(captured.out)["problems"]) == 6


def test_intact_bytes_that_answer_nonsense_fail(tmp_path, capsys):
    table = np.full((len(WORDS), 4), np.nan, dtype=np.float32)
    assert main(["verify", str(publish(tmp_path / "out", table=table))]) == 2
    assert "error[artifact-broken]" in capsys.readouterr().err


def test_a_graph_that_fails_when_run_fails(tmp_path, capsys):
    """Its table is shorter than the vocabulary, so an id leads out of it."""
    table = np.ones((1, 4), dtype=np.float32)
    assert main(["verify", str(publish(tmp_path / "out", table=table))]) == 2
    error, _ = capsys.readouterr().err.splitlines()
    assert error.startswith("error[artifact-broken]: the graph fails")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_artifact_is_refused(tmp_path, capsys, name):
    assert main(["verify", str(tmp_path / name)]) == 2
    assert "error[manifest-missing]" in capsys.readouterr().err
