"""`genai_config.json`: what this tool writes is read, and nothing else."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given, settings

from compress.core.errors import CompressError
from compress.runtime.genai_settings import read_genai_settings
from tests.unit.runtime.mutations import changed, mutations

DECODER = {
    "session_options": {"log_id": "onnxruntime-genai", "provider_options": [], "intra_op_num_threads": 0},
    "filename": "model.onnx",
    "head_size": 16,
    "hidden_size": 64,
    "inputs": {"input_ids": "input_ids", "past_key_names": "past_key_values.%d.key"},
    "outputs": {"logits": "logits", "present_key_names": "present.%d.key"},
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
}
MODEL = {
    "type": "llama",
    "decoder": DECODER,
    "vocab_size": 200,
    "context_length": 128,
    "eos_token_id": [3, 2],
}
DOCUMENT = {
    "model": {**MODEL, "bos_token_id": 2, "pad_token_id": 0},
    "search": {"top_p": 1.0, "max_length": 128},
}
OPTIONS = ("model", "decoder", "session_options")


def write(folder, document):
    (folder / "genai_config.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def added(place, **values):
    """The document with more keys at a place."""
    inner = DOCUMENT
    for key in place:
        inner = inner[key]
    return changed(DOCUMENT, place, {**inner, **values})


def test_what_is_written_is_what_is_read(tmp_path):
    read = read_genai_settings(write(tmp_path, DOCUMENT))
    assert read.document() == DOCUMENT
    assert read.end_ids == {2, 3}
    assert not read.keeps_states


@pytest.mark.parametrize(
    "document",
    [
        added(OPTIONS, custom_ops_library="ops.txt"),
        added(OPTIONS, provider_options=[{"OpenVINO": {"load_config": "a.json"}}]),
        added(OPTIONS, provider_options=[{"ryzenai": {"library_path": "ops.txt"}}]),
        added(OPTIONS, provider_options=[{}]),
        added(OPTIONS, config_entries={"ep.context_file_path": "a"}),
        added(OPTIONS, enable_profiling="out"),
        added(("model", "decoder"), pipeline=[{"a": {"filename": "b.onnx"}}]),
        added(("model", "decoder"), run_options={"a": "b"}),
        added(("model", "decoder"), filename="../model.onnx"),
        added(("model", "decoder"), filename="/tmp/model.onnx"),
        added(("model", "decoder"), filename="other.onnx"),
        added(("model", "decoder", "inputs"), past_key_names="past.%n.key"),
        added(("model", "decoder", "inputs"), past_key_names="past.%d.%d"),
        added(("model", "decoder", "inputs"), past_key_names="%s"),
        added(("model", "decoder", "inputs"), past_key_names="past.%99999d"),
        added(("model",), vision={"filename": "b.onnx"}),
        added(("model",), speech={"config_filename": "b.json"}),
        added((), engine={"a": 1}),
        added((), adapters=["a"]),
    ],
)
def test_what_names_code_or_files_is_refused(tmp_path, document):
    with pytest.raises(CompressError, match="genai-settings") as caught:
        read_genai_settings(write(tmp_path, document))
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("kind", ["folder", "pipe", "huge"])
def test_the_file_is_a_regular_one(tmp_path, kind):
    path = tmp_path / "genai_config.json"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(6 * 2**30)
    with pytest.raises(CompressError, match="genai-settings"):
        read_genai_settings(tmp_path)


@settings(max_examples=150)
@given(mutations(DOCUMENT))
def test_damaged_settings_are_refused_or_read(tmp_path_factory, text):
    folder = write(tmp_path_factory.getbasetemp(), text)
    try:
        read_genai_settings(folder)
    except CompressError as error:
        assert "\n" not in error.message
        assert error.message.isprintable()
