"""Every file of a model's folder is looked at before a library opens it."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from compress.core.errors import CompressError
from compress.model.folder import check_folder

GOOD = {
    "config.json": {"model_type": "bert", "architectures": ["BertModel"], "id2label": {"0": "no"}, "x": [5]},
    "generation_config.json": {"eos_token_id": [1, 2]},
    "tokenizer_config.json": {
        "pad_token": {"content": "[PAD]", "__type": "AddedToken"}, "model_max_length": 10**30,
        "added_tokens_decoder": {"0": {"content": "[PAD]"}},
        "chat_template": [{"name": "default", "template": ""}],
    },
    "special_tokens_map.json": {"pad_token": "[PAD]"},
    "added_tokens.json": {"[NEW]": 5},
    "vocab.json": {"[PAD]": 0, "a": 1},
    "model.safetensors.index.json": {"weight_map": {"a": "model-00001-of-00002.safetensors"}},
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
    "config_sentence_transformers.json": {"prompts": {"query": "q: "}, "default_prompt_name": None},
    "sentence_bert_config.json": {"max_seq_length": 256, "do_lower_case": False},
    "preprocessor_config.json": {"size": {"height": 24, "width": 24}, "crop_size": 24, "image_mean": [0.5]},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, values in GOOD.items():
        (tmp_path / name).write_text(json.dumps(values), encoding="utf8")
    return tmp_path


def refused(folder: Path) -> CompressError:
    with pytest.raises(CompressError) as caught:
        check_folder(folder)
    assert "\n" not in caught.value.message
    return caught.value


def test_files_as_tools_write_them_are_taken(folder: Path) -> None:
    check_folder(folder)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config.json", {"auto_map": 5}),
        ("config.json", {"quantization_config": 5}),
        ("config.json", {"quantization_config": [{}]}),
        ("config.json", {"architectures": [{}]}),
        ("config.json", {"architectures": "BertModel"}),
        ("config.json", {"hidden_act": 5}),
        ("config.json", {"dtype": [-1]}),
        ("config.json", {"id2label": {"no number": "x"}}),
        ("config.json", {"text_config": []}),
        ("config.json", 5),
        ("generation_config.json", {"eos_token_id": "x"}),
        ("tokenizer_config.json", {"pad_token": -1}),
        ("tokenizer_config.json", {"tokenizer_class": 5}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": 5}}),
        ("tokenizer_config.json", {"padding_side": "up"}),
        ("special_tokens_map.json", {"pad_token": []}),
        ("added_tokens.json", {"[NEW]": -5}),
        ("added_tokens.json", []),
        ("model.safetensors.index.json", {"weight_map": {"a": ""}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "."}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "x" * 300}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "a\0b"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "a\ud800b"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": 5}}),
        ("modules.json", [{"idx": 0, "name": "0", "path": 5, "type": "x"}]),
        ("modules.json", [5]),
        ("modules.json", {}),
        ("vocab.json", {"a": [5]}),
        ("vocab.json", {"a": {"b": -5}}),
        ("config_sentence_transformers.json", {"prompts": {"query": 5}}),
        ("sentence_bert_config.json", {"max_seq_length": -5}),
        ("preprocessor_config.json", {"size": -5}),
        ("preprocessor_config.json", {"size": {"height": 10**12, "width": 5}}),
        ("preprocessor_config.json", {"size": "large"}),
        ("preprocessor_config.json", {"image_mean": ["x"]}),
        ("preprocessor_config.json", {"sampling_rate": 0}),
    ],
)
def test_values_of_other_types_are_one_line_with_a_code(folder: Path, name: str, values: object) -> None:
    (folder / name).write_text(json.dumps(values), encoding="utf8")
    error = refused(folder)
    assert name in error.message
    assert error.code.endswith(("-invalid", "-missing"))


@pytest.mark.parametrize("name", GOOD)
def test_deep_nesting_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("[" * 100_000, encoding="utf8")
    assert "nested deeper" in refused(folder).message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "notes.json", "chat_template.jinja"])
def test_a_sparse_file_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as stream:
        stream.truncate(6 * 2**30)
    assert "expected at most" in refused(folder).message


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.timeout(10)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "anything"])
@pytest.mark.parametrize(("make", "word"), [(os.mkfifo, "pipe"), (_socket, "socket")], ids=["pipe", "socket"])
def test_special_files_are_refused(folder: Path, name: str, make, word: str, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    assert word in refused(folder).message


@pytest.mark.timeout(10)
def test_a_device_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/dev/zero")
    assert refused(folder).code == "path-escapes"


def test_a_link_in_a_circle_is_refused(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    assert "circle" in refused(folder).message


def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff.json")).write_text("{}", encoding="utf8")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert "not UTF-8" in refused(folder).message


def test_a_folder_in_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert "folder" in refused(folder).message
