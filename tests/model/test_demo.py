"""The README's first command on the real model, and what its users do next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import compress
from compress.graph import ort

pytestmark = pytest.mark.model

TEXTS = ["A man is playing a guitar.", "Someone plays an instrument.", "The stock market fell.", "Hallo Welt"]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """The artifact of the main job, with a shorter comparison of speed than the README's."""
    root = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_CACHE", str(root / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        outcome = compress.run("demo", out=root / "out", seconds=1.0)
    assert outcome.exit_code == 0
    return outcome.folder


@pytest.fixture(scope="module")
def original():
    """Embeddings by sentence-transformers, which shares no code with us."""
    from sentence_transformers import SentenceTransformer

    from compress.model.sources import demo_folder

    return np.asarray(SentenceTransformer(str(demo_folder()), device="cpu").encode(TEXTS))


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_the_artifact_is_smaller_and_means_the_same(artifact, original):
    report = json.loads((artifact / "report.json").read_text())
    assert report["result"]["size_bytes"] == (artifact / "model.onnx").stat().st_size
    assert report["result"]["size_bytes"] <= 24_000_000  # OpenVINO's, where it is installed and the fastest
    assert report["gate"]["verdict"] == "pass"
    vectors = compress.load(artifact).encode(TEXTS)
    assert cosines(vectors, original).min() > 0.97
    similarities = np.corrcoef((vectors @ vectors.T).ravel(), (original @ original.T).ravel())[0, 1]
    assert similarities > 0.999


def test_threads_are_asked_for_and_change_no_answer(artifact, monkeypatch):
    asked = []
    options = ort.session_options
    monkeypatch.setattr(ort, "session_options", lambda threads: asked.append(threads) or options(threads))
    vectors = [compress.load(artifact, threads=threads).encode(TEXTS) for threads in (1, 2)]
    assert asked in ([1, 2], [])  # none where OpenVINO's graph was the fastest
    assert cosines(*vectors).min() > 0.9999


def test_the_report_has_exactly_its_keys(artifact):
    report = json.loads((artifact / "report.json").read_text())
    assert set(report) == {
        "schema_version", "model", "target", "baselines", "result", "speedup", "accuracy", "gate", "steps",
        "operators",
    }  # fmt: skip
    assert set(report["accuracy"]) == {
        "metric", "kind", "items", "baseline", "result", "drop", "drop_upper_95",
    }  # fmt: skip
    assert report["accuracy"]["kind"] == "fidelity"
    assert set(report["speedup"]["vs_torch"]) == {"value", "low", "high"}
    assert sum(step["kept"] for step in report["steps"]) >= 2


def test_every_candidate_has_a_reason(artifact):
    evidence = json.loads((artifact / "evidence.json").read_text())
    assert len(evidence["candidates"]) >= 3
    assert sum(line["kept"] for line in evidence["candidates"]) == 1
    assert all(line["why"] for line in evidence["candidates"])
    assert {line["contender"] for line in evidence["samples"]} == {"torch", "onnxruntime_fp32", "result"}
    assert len(evidence["parity"]) >= 3


def test_pooling_files_travel_with_the_graph(artifact):
    names = {path.relative_to(artifact).as_posix() for path in artifact.rglob("*") if path.is_file()}
    assert {
        "modules.json",
        "1_Pooling/config.json",
        "tokenizer.json",
        "config.json",
        "sbom.cdx.json",
    } <= names
    assert not {"model.safetensors", "export.json", "step.json"} & names


def test_verify_sees_one_flipped_byte(artifact, tmp_path, cli):
    assert cli("verify", artifact).code == 0
    copy = Path(shutil.copytree(artifact, tmp_path / "copy"))
    graph = copy / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    called = cli("verify", copy)
    assert called.code == 2
    assert "model.onnx" in called.err


def test_a_budget_that_cannot_be_met_fails_with_a_number(artifact, cli):
    called = cli("check", artifact, "--max-size", "1MB")
    assert called.code == 1
    assert "1MB" in called.out + called.err
    assert cli("check", artifact, "--max-size", "40MB", "--max-drop", "5%").code == 0


def test_an_artifact_is_judged_again_on_other_data(artifact, cli, tmp_path):
    pairs = tmp_path / "pairs.csv"
    rows = [
        f"{TEXTS[i % 4]} {i},{TEXTS[j % 4]} {j},{5.0 if i % 4 == j % 4 else 1.0}"
        for i in range(8)
        for j in range(8)
    ]
    pairs.write_text("sentence1,sentence2,score\n" + "\n".join(rows) + "\n")
    called = cli("eval", artifact, "--data", pairs, "--json")
    assert called.code == 0, called.err
    found = json.loads(called.out)
    assert (found["metric"], found["kind"], found["items"]) == ("spearman", "task", 64)
    assert found["result"] > 0.7
