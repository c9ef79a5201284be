from __future__ import annotations

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from compress.core.paths import file_digest
from compress.report.licence import spdx, stated_licence
from compress.report.sbom import render_sbom
from tests.unit.report import example


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    (tmp_path / "model.onnx.data").write_bytes(b"tensors")
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# card", encoding="utf8")
    return tmp_path


@pytest.mark.parametrize(
    "case",
    [
        (example.report(), example.evidence()),
        (example.report("fail", measured=False), example.evidence()),
        example.decoder(),
        example.bare(),
        example.hostile('"\\</script>\n\x00 @ é 漢'),
    ],
)
def test_it_is_valid_cyclonedx(case, folder, tmp_path):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(render_sbom(*case, folder=folder)) is None


def test_it_names_the_source_the_files_the_licence_and_the_steps(folder):
    document = json.loads(render_sbom(example.report(), example.evidence(), folder=folder))
    model = document["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    hashes = {file["name"]: file["hashes"][0]["content"] for file in model["components"]}
    assert hashes == {name: file_digest(folder / name) for name in ("model.onnx", "model.onnx.data")}
    source = document["components"][0]
    tool = next(one for one in document["components"] if one["name"] == "compress")
    assert tool["purl"] == "pkg:pypi/compress-models@0.1.0"  # `compress` there is another project
    assert source["purl"] == "pkg:huggingface/sentence-transformers/all-MiniLM-L6-v2@c9745ed1d9f2"
    assert source["hashes"][0]["content"] == example.report().model.digest
    names = {one["name"]: one["value"] for one in model["properties"]}
    assert names["compress:step:2:quantize.dynamic"].startswith('weights: "int8"')
    assert int(names["compress:bytes:int8"]) == 11721984 + 3566592 + 7091712
    libraries = {one["name"] for one in document["components"][1:]}
    assert libraries == set(example.evidence().versions)
    metrics = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert {metric["type"] for metric in metrics} >= {"spearman", "spearman drop"}


def test_the_same_report_gives_the_same_bytes(folder):
    first, second = (render_sbom(example.report(), example.evidence(), folder=folder) for _ in range(2))
    other = render_sbom(example.report("fail"), example.evidence(), folder=folder)
    assert first == second
    assert json.loads(first)["serialNumber"] != json.loads(other)["serialNumber"]


@pytest.mark.parametrize(
    ("card", "config", "licence"),
    [
        ("---\nlicense: mit\n---\n", "{}", "mit"),
        ("---\nlicense: other\nlicense_name: llama3\n---\n", "{}", "llama3"),
        ("---\nlicense:\n- mit\n- apache-2.0\n---\n", "{}", "mit OR apache-2.0"),
        ("no front matter", '{"license": "mit"}', "mit"),
        ("---\n: [broken\n---\n", "not json", None),
        (None, None, None),
    ],
)
def test_licences_as_cards_state_them(tmp_path, card, config, licence):
    for name, text in (("README.md", card), ("config.json", config)):
        if text is not None:
            (tmp_path / name).write_text(text, encoding="utf8")
    assert stated_licence(tmp_path) == licence


def test_spdx_names():
    assert spdx("cc-by-sa-4.0") == "CC-BY-SA-4.0"
    assert spdx("gpl-3.0") == "GPL-3.0-only"
    assert spdx("llama3") is None
