"""A second plan of the same checkpoint answers as the first without importing torch."""

import json
import subprocess
import sys

import pytest

from compress.pipeline import cache
from tests import tiny

pytestmark = pytest.mark.model

_PLAN = """
import runpy, sys
sys.argv = ["compress", "plan", *sys.argv[1:]]
try:
    runpy.run_module("compress", run_name="__main__")
finally:
    print("torch imported:", "torch" in sys.modules or "transformers" in sys.modules, file=sys.stderr)
"""


def plan(model, folder, *arguments):
    """Return the document, the notes, and whether torch or transformers was imported."""
    command = [sys.executable, "-c", _PLAN, str(model), "--out", str(folder / "out"), "--json", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    *notes, imported = ran.stderr.splitlines()
    return ran.stdout, notes, imported == "torch imported: True"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bert(tmp_path):
    tiny.build("bert-classifier", tmp_path / "bert")
    return tmp_path / "bert"


@pytest.mark.parametrize("name", ["bert-classifier", "llama-wide", "vit", "wav2vec2-classifier"])
def test_the_second_plan_imports_no_torch(tmp_path, name):
    tiny.build(name, tmp_path / name)
    document, notes, imported = plan(tmp_path / name, tmp_path)
    assert imported
    assert json.loads(document)["candidates"]
    assert plan(tmp_path / name, tmp_path) == (document, notes, False)


def test_a_rewritten_checkpoint_is_taken_again_with_its_note(tmp_path, bert):
    settings = json.loads((bert / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (bert / "tokenizer_config.json").write_text(json.dumps(settings))
    document, notes, imported = plan(bert, tmp_path)
    assert imported
    assert any("tokenizer.json is written" in line for line in notes)
    assert plan(bert, tmp_path) == (document, notes, False)
    (weights,) = (tmp_path / "cache" / "tokenizers").glob("*/tokenizer.json")
    weights.chmod(0o600)
    weights.write_text("{}")
    again, _, imported = plan(bert, tmp_path)
    assert (again, imported) == (document, True)


@pytest.mark.parametrize("content", ["{}", "[", '{"folder": "../..", "task": "x", "kind": "encoder"}'])
def test_a_damaged_verdict_is_made_again(tmp_path, bert, content):
    document, _, _ = plan(bert, tmp_path)
    (verdict,) = (tmp_path / "cache" / "verdicts").glob("*/verdict.json")
    verdict.chmod(0o600)
    verdict.write_text(content)
    again, notes, imported = plan(bert, tmp_path)
    assert (again, imported) == (document, True)
    assert any("cached verdict on the model is damaged: made again" in line for line in notes)
    assert plan(bert, tmp_path)[2] is False


def _reseal(folder):
    from compress.core.seal import seal

    seal(folder, name=folder)


@pytest.mark.parametrize(
    "changes", [{"folder": "../../bert"}, {"folder": "/"}, {"task": "x"}, {"kind": 5}, {"notes": 7}]
)
def test_a_forged_verdict_is_not_believed(tmp_path, bert, changes):
    document, _, _ = plan(bert, tmp_path)
    (verdict,) = (tmp_path / "cache" / "verdicts").glob("*/verdict.json")
    verdict.chmod(0o600)
    verdict.write_text(json.dumps(json.loads(verdict.read_text()) | changes))
    _reseal(verdict.parent)
    again, _, imported = plan(bert, tmp_path)
    assert (again, imported) == (document, True)


def test_changed_files_are_examined_anew(tmp_path, bert):
    plan(bert, tmp_path)
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    _, notes, imported = plan(bert, tmp_path)
    assert imported
    assert any("encoder.layer.1" in line for line in notes)  # refused: weights of the second layer are left
    (bert / "config.json").write_text(json.dumps(config))
    assert plan(bert, tmp_path)[2] is False
    (bert / "notes.model").write_bytes(b"x")
    assert plan(bert, tmp_path)[2] is True
    weights = bytearray((bert / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (bert / "model.safetensors").write_bytes(bytes(weights))
    assert plan(bert, tmp_path)[2] is True
    assert plan(bert, tmp_path, "--task", "feature-extraction")[2] is True


def test_a_read_only_cache_stops_no_plan(tmp_path, bert, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "file" / "cache"))
    document, _, imported = plan(bert, tmp_path)
    assert imported
    assert json.loads(document)["candidates"]
    assert cache.cache_folder().parent.is_file()
