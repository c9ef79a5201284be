"""A second plan of the same checkpoint answers as the first without importing torch."""

import json
import shutil
import subprocess
import sys

import pytest

from compress.core.errors import CompressError
from compress.core.seal import seal
from compress.model.resolve import locate
from compress.pipeline import verdict
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


class Examiner:
    """Examine one checkpoint again and again in this process."""

    def __init__(self, folder, cache, monkeypatch):
        self.folder, self.cache, self.checks = folder, cache, 0
        examine = verdict._examine

        def counted(*arguments, **settings):
            self.checks += 1
            return examine(*arguments, **settings)

        monkeypatch.setattr(verdict, "_examine", counted)

    def __call__(self, task=None):
        """Return the model, the notes, and whether the checks ran."""
        notes, before = [], self.checks
        source = locate(str(self.folder), offline=True, cache=self.cache, note=notes.append)
        model = verdict.examined(source, task=task, cache=self.cache, note=notes.append)
        return model, notes, self.checks > before

    @property
    def entry(self):
        (path,) = (self.cache / "verdicts").glob("*/verdict.json")
        path.chmod(0o600)
        return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "bert"
    tiny.build("bert-classifier", folder)
    return folder


@pytest.fixture
def examine(checkpoint, tmp_path, monkeypatch):
    shutil.copytree(checkpoint, tmp_path / "bert")
    return Examiner(tmp_path / "bert", tmp_path / "cache", monkeypatch)


def rewrite(path, changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", ["bert-classifier", "llama-wide", "vit", "wav2vec2-classifier"])
def test_the_second_plan_imports_no_torch(tmp_path, monkeypatch, name):
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    tiny.build(name, tmp_path / name)
    document, notes, imported = plan(tmp_path / name, tmp_path)
    assert imported
    assert json.loads(document)["candidates"]
    assert plan(tmp_path / name, tmp_path) == (document, notes, False)


def test_a_rewritten_checkpoint_is_taken_again_with_its_note(examine):
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    rewrite(examine.folder / "tokenizer_config.json", settings)
    model, notes, checked = examine()
    assert checked
    assert model.folder.parent.name == "tokenizers"
    assert any("tokenizer.json is written" in line for line in notes)
    assert examine() == (model, notes, False)
    (model.folder / "tokenizer.json").chmod(0o600)
    (model.folder / "tokenizer.json").write_text("{}")
    again, _, checked = examine()
    assert (again, checked) == (model, True)


@pytest.mark.parametrize("content", ["{}", "[", '{"folder": "../..", "task": "x", "kind": "encoder"}'])
def test_a_damaged_verdict_is_made_again(examine, content):
    model, _, _ = examine()
    examine.entry.write_text(content)
    assert examine() == (model, ["cached verdict on the model is damaged: made again"], True)
    assert examine() == (model, [], False)


@pytest.mark.parametrize(
    "changes", [{"folder": "../bert"}, {"folder": "/"}, {"task": "x"}, {"kind": 5}, {"notes": 7}]
)
def test_a_forged_verdict_is_not_believed(examine, changes):
    model, _, _ = examine()
    entry = examine.entry
    rewrite(entry, changes)
    seal(entry.parent, name=entry.parent)
    assert examine() == (model, [], True)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "notes"])
def test_a_changed_file_is_examined_anew(examine, name):
    examine()
    path = examine.folder / name
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b" ")
    try:
        _, _, checked = examine()
    except CompressError:  # a header whose data has another length
        assert name == "model.safetensors"
    else:
        assert checked


def test_another_task_is_another_verdict(examine):
    examine()
    assert examine("feature-extraction")[2]
    assert not examine()[2]


def test_what_is_refused_is_refused_again(examine):
    rewrite(examine.folder / "config.json", {"num_hidden_layers": 1})
    for _ in range(2):
        with pytest.raises(CompressError, match="layer"):
            examine()
    assert examine.checks == 2


def test_a_cache_that_cannot_be_written_stops_no_plan(examine, tmp_path):
    (tmp_path / "file").write_text("")
    examine.cache = tmp_path / "file" / "cache"
    assert examine()[0].task == "text-classification"
