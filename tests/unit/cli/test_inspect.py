from __future__ import annotations

import json

import pytest

from compress.cli.main import main
from tests.unit.cli.artifact import WORDS, publish


@pytest.fixture
def artifact(tmp_path):
    return publish(tmp_path / "out")


def test_an_artifact_by_component_and_dtype(artifact, capsys):
    assert main(["inspect", str(artifact), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    sizes = {(part["component"], part["dtype"]): part["size_bytes"] for part in document["parts"]}
    assert sizes["embedding", "float32"] == len(WORDS) * 4 * 4
    assert document["operators"] == {"Gather": 1}


def test_a_table_on_stdout(artifact, capsys):
    assert main(["inspect", str(artifact)]) == 0
    captured = capsys.readouterr()
    assert "embedding" in captured.out
    assert "operators: 1 Gather" in captured.out
    assert captured.err == ""


def test_a_graph_that_is_none(artifact, capsys):
    (artifact / "model.onnx").write_bytes(b"\xff" * 100)
    assert main(["inspect", str(artifact)]) == 2
    assert "error[graph-invalid]" in capsys.readouterr().err


def test_the_time_of_a_call_by_part_on_request(artifact, capsys):
    assert main(["inspect", str(artifact), "--latency", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["latency"]
    assert (found["workload"], found["batch"]) == ("throughput", 32)
    assert [(part["component"], part["share"]) for part in found["parts"]] == [("embedding", 1.0)]
    assert list(found["operator_milliseconds"]) == ["Gather"]


def test_nothing_is_run_unless_asked(artifact, capsys, monkeypatch):
    monkeypatch.setattr("compress.measure.profiler.node_times", None)
    assert main(["inspect", str(artifact), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["latency"] is None
