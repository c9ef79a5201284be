from __future__ import annotations

import json
import os

import pytest

from compress.core.errors import CompressError
from compress.report.files import read_report, render_all
from tests.unit.report import example


def write(folder, documents):
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf8")


def test_what_is_written_reads_back_the_same(tmp_path):
    saved = example.report(), example.evidence()
    documents = render_all(*saved)
    assert set(documents) == {"report.json", "evidence.json", "report.md", "report.html"}
    write(tmp_path, documents)
    assert read_report(tmp_path) == saved
    assert set(render_all(*saved, tmp_path)) - set(documents) == {"sbom.cdx.json"}
    assert render_all(*read_report(tmp_path)) == documents


def test_the_keys_of_report_json_are_the_contract():
    document = json.loads(render_all(example.report(), example.evidence())["report.json"])
    assert set(document) == {
        "schema_version", "model", "target", "baselines", "result", "speedup", "accuracy", "gate", "steps",
        "operators",
    }  # fmt: skip
    assert set(document["accuracy"]) == {
        "metric", "kind", "items", "baseline", "result", "drop", "drop_upper_95",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["report.json", "evidence.json"])
@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "report-missing"),
        (b"", "report-invalid"),
        (b"{}", "report-invalid"),
        (b"[1]", "report-invalid"),
        (b"\xff\xfe", "report-invalid"),
        (b"[" * 100_000, "report-invalid"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_a_code(tmp_path, name, content, code):
    write(tmp_path, render_all(example.report(), example.evidence()))
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CompressError) as caught:
        read_report(tmp_path)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["report.json", "evidence.json"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    write(tmp_path, render_all(example.report(), example.evidence()))
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(CompressError, match="named pipe"):
        read_report(tmp_path)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(CompressError, match="report-missing"):
        read_report(tmp_path / "nowhere")
