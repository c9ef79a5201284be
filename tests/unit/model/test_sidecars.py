"""Which files of a model's folder go into what is made of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import transformers

from compress.core.errors import CompressError
from compress.model.sidecar_names import TOKENIZER
from compress.model.sidecars import copy_sidecars, inherit_checkpoint, sidecars

READ = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    "spiece.model", "chat_template.jinja", "additional_chat_templates/rag.jinja", "preprocessor_config.json",
    "modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json",
    "2_Dense/model.safetensors", "README.md", "LICENSE",
)  # fmt: skip
OTHERS = (
    "genai_config.json", "ops.txt", "custom_ops.model", "evil.jinja", "openvino_config.json", "step.json",
    "export.json", "quantized.json", "compress.json", "model.onnx", "onnx/model.onnx", "modeling.py",
    "notes.md", "pytorch_model.bin", "training_args.bin", "1_Pooling/genai_config.json",
    "1_Pooling/pytorch_model.bin", "3_Other/config.json", "additional_chat_templates/a/b.jinja",
    "additional_chat_templates/x.txt", ".gitattributes",
)  # fmt: skip


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for name in (*READ, *OTHERS):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    modules = [{"idx": 0, "path": "", "type": "a"}, {"path": "1_Pooling"}, {"path": "2_Dense"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_files_that_programs_read_are_copied_and_no_others(source, tmp_path):
    assert {name.as_posix() for name in sidecars(source)} == set(READ)
    copy_sidecars(source, tmp_path / "copied", text=False)
    assert names(tmp_path / "copied") == set(READ)
    inherit_checkpoint(source, tmp_path / "inherited")
    assert names(tmp_path / "inherited") == {*READ, "model.safetensors"}


def test_code_of_the_repository_is_left_out_of_copies(source, tmp_path):
    written = {
        "tokenizer_class": "A",
        "auto_map": {"AutoTokenizer": ["tokenization_x.X", None]},
        "model_max_length": 5,
    }
    (source / "tokenizer_config.json").write_text(json.dumps(written))
    (source / "preprocessor_config.json").write_text(json.dumps({"auto_map": {}, "size": 5}))
    copy_sidecars(source, tmp_path, text=False)
    copied = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert copied == {"tokenizer_class": "A", "model_max_length": 5}
    assert json.loads((tmp_path / "preprocessor_config.json").read_text()) == {"size": 5}


def test_every_file_that_a_tokenizer_of_transformers_reads_is_known():
    root = Path(transformers.__file__).parent / "models"
    tables = [
        table
        for path in root.glob("*/tokeniz*.py")
        for table in re.findall(r"VOCAB_FILES_NAMES = \{(.*?)\}", path.read_text(encoding="utf8"), re.DOTALL)
    ]
    found = {name for table in tables for name in re.findall(r':\s*"([^"]+)"', table)}
    assert len(found) > 20
    assert found <= TOKENIZER


@pytest.mark.parametrize("text", ["5", "{}", '["a"]', '[{"path": 5}]', '[{"path": "../x"}]', "[[]]"])
def test_modules_of_any_form_do_no_harm(source, text):
    (source / "modules.json").write_text(text)
    assert "2_Dense/config.json" not in {name.as_posix() for name in sidecars(source)}


def test_modules_that_are_no_json_are_told(source):
    (source / "modules.json").write_text("[")
    with pytest.raises(CompressError, match=r"config-invalid.*modules\.json"):
        sidecars(source)
