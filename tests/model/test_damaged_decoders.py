"""Decoders with damaged settings are refused in one line, or write: no other error, no hang."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings

import compress
from compress.core.errors import CompressError
from compress.graph.session import GENAI
from compress.pipeline.probe import probe
from tests.unit.runtime.mutations import mutations

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folder(published_decoder, tmp_path_factory):
    return shutil.copytree(published_decoder, tmp_path_factory.mktemp("damaged") / "decoder")


@pytest.mark.parametrize(
    "name", ["genai_config.json", "config.json", "tokenizer_config.json", "generation_config.json"]
)
def test_any_file_of_a_decoder(folder, name):
    path = folder / name
    before = path.read_bytes()

    @settings(max_examples=20)
    @given(mutations(json.loads(before)))
    def check(text):
        path.write_bytes(text.encode("utf8", "surrogatepass"))
        try:
            model = compress.load(folder)
            model.generate("the quick", tokens=2)
            model.generate("the quick", tokens=2, chat=True)
        except CompressError as error:
            assert "\n" not in error.message

    try:
        check()
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("place", "value"),
    [("vocab_size", 1), ("eos_token_id", 10**6), ("type", "decoder-pipeline"), ("type", "whisper")],
)
def test_verify_has_a_decoder_write(folder, place, value):
    """What only shows when a token is written; the graph alone runs."""
    path = folder / "genai_config.json"
    before = path.read_bytes()
    document = json.loads(before)
    document["model"][place] = value
    path.write_text(json.dumps(document))
    try:
        with pytest.raises(CompressError, match="onnxruntime-genai"):
            probe(folder, task="text-generation", runtime=GENAI)
    finally:
        path.write_bytes(before)
    assert probe(folder, task="text-generation", runtime=GENAI)
