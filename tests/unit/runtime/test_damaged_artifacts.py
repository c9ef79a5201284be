"""Artifacts with a damaged file beside their graph are refused in one line, or answer."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

import compress
from compress.core.errors import CompressError
from compress.pipeline.manifest import read_manifest
from compress.pipeline.probe import probe
from tests.unit.cli.artifact import publish
from tests.unit.runtime.mutations import mutations

CONFIG = {
    "model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": 16, "pad_token_id": 0,
    "vocab_size": 7, "id2label": {"0": "a", "1": "b"}, "problem_type": "regression",
    "text_config": {"pad_token_id": 0}, "decoder_start_token_id": 0,
}  # fmt: skip
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 16,
    "mask_token": {"content": "a"}, "padding_side": "left", "truncation_side": "left",
    "chat_template": [{"name": "default", "template": "x"}],
}  # fmt: skip
MODULES = [
    {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
    for number, (path, kind) in enumerate(
        [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
    )
]
DENSE = {"in_features": 4, "out_features": 3, "activation_function": "torch.nn.modules.activation.Tanh"}
IMAGE = {
    "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 8, "width": 8},
    "resample": 2, "do_center_crop": True, "crop_size": [6, 6], "do_rescale": True, "rescale_factor": 0.004,
    "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "crop_pct": 0.9,
}  # fmt: skip
SHORTEST = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 8}, "crop_pct": 0.875}
WAVE = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "sampling_rate": 16000, "padding_value": 0.0}
WHISPER = {
    "feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": 16000, "n_fft": 400,
    "hop_length": 160, "chunk_length": 1, "feature_size": 8,
}  # fmt: skip
AST = {
    "feature_extractor_type": "ASTFeatureExtractor", "max_length": 8, "num_mel_bins": 8, "mean": -4.0,
    "std": 4.5, "sampling_rate": 16000,
}  # fmt: skip
STACKED = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "stride": 2, "num_mel_bins": 8}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    """A sentence embedder with a pooling and a dense layer."""
    folder = publish(tmp_path_factory.mktemp("embedder") / "out")
    for name in ("1_Pooling", "2_Dense", "3_Normalize"):
        (folder / name).mkdir()
    write(folder / "config.json", CONFIG)
    write(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    write(folder / "modules.json", MODULES)
    write(
        folder / "1_Pooling/config.json", {"pooling_mode": ["mean", "cls"], "pooling_mode_mean_tokens": True}
    )
    write(folder / "2_Dense/config.json", DENSE)
    save_file({"linear.weight": np.ones((3, 8), np.float32)}, folder / "2_Dense/model.safetensors")
    write(folder / "sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": True})
    prompts = {"default_prompt_name": "query", "prompts": {"query": "a "}}
    write(folder / "config_sentence_transformers.json", prompts)
    write(folder / "special_tokens_map.json", {"pad_token": "[PAD]"})
    write(folder / "generation_config.json", {"eos_token_id": [1, 2]})
    return folder


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    return of_one_input(tmp_path_factory.mktemp("seeing") / "out", "pixel_values", 4, "ViTModel")


@pytest.fixture(scope="module")
def hearing(tmp_path_factory):
    return of_one_input(tmp_path_factory.mktemp("hearing") / "out", "input_values", 2, "Wav2Vec2Model")


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    return of_one_input(tmp_path_factory.mktemp("listening") / "out", "input_features", 3, "WhisperModel")


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """A graph whose hidden states are logits of four classes at every token."""
    folder = publish(tmp_path_factory.mktemp("tagger") / "out")
    model = onnx.load_model(str(folder / "model.onnx"))
    model.graph.output[0].name = model.graph.node[0].output[0] = "logits"
    onnx.save_model(model, str(folder / "model.onnx"))
    return folder


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A graph that gives each sample as logits of two classes."""
    folder = publish(tmp_path_factory.mktemp("speech") / "out")
    x = helper.make_tensor_value_info("input_values", TensorProto.FLOAT, ["batch", "samples"])
    y = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "samples", 2])
    columns = numpy_helper.from_array(np.array([[1, -1]], np.float32), "columns")
    last = numpy_helper.from_array(np.array([2]), "last")
    nodes = [
        helper.make_node("Unsqueeze", ["input_values", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "columns"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [columns, last])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save_model(model, str(folder / "model.onnx"))
    write(folder / "config.json", {"architectures": ["Wav2Vec2ForCTC"], "pad_token_id": 0})
    write(folder / "preprocessor_config.json", WAVE)
    write(folder / "vocab.json", {"<pad>": 0, "a": 1})
    write(folder / "compress.json", {"task": "automatic-speech-recognition"})
    return folder


def of_one_input(folder, name, axes, architecture):
    """An artifact whose graph gives back its input."""
    publish(folder)
    (folder / "modules.json").unlink(missing_ok=True)
    shape = ["batch", *(f"d{axis}" for axis in range(1, axes))]
    x = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Identity", [name], ["last_hidden_state"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save_model(model, str(folder / "model.onnx"))
    write(folder / "config.json", {"architectures": [architecture], "model_type": "vit"})
    return folder


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf8")


def refused_or(use):
    """Call something that may raise CompressError, and nothing else."""
    try:
        return use()
    except CompressError as error:
        assert "\n" not in error.message
        return None


fuzzed = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
FILES = {
    "config.json": CONFIG,
    "tokenizer_config.json": TOKENIZER_CONFIG,
    "special_tokens_map.json": {"pad_token": {"content": "[PAD]"}, "mask_token": "a"},
    "modules.json": MODULES,
    "1_Pooling/config.json": {"pooling_mode": ["mean", "cls"], "pooling_mode_mean_tokens": True},
    "2_Dense/config.json": {**DENSE, "module_input_name": "sentence_embedding", "use_residual": False},
    "3_Normalize/config.json": {"module_input_name": "sentence_embedding"},
    "sentence_bert_config.json": {"max_seq_length": 8, "do_lower_case": True},
    "config_sentence_transformers.json": {"default_prompt_name": "q", "prompts": {"q": "a "}},
    "generation_config.json": {"eos_token_id": [1, 2]},
}


OTHERS = ("tokenizer.json", "compress.json", "2_Dense/model.safetensors")


def checked(path, text, use):
    """Call `use` while a file holds something else."""
    before = path.read_bytes() if path.exists() else None
    try:
        write_raw(path, text)
        return refused_or(use)
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def write_raw(path, text):
    path.write_bytes(text.encode("utf8", "surrogatepass"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_any_file_of_an_embedder(embedder, name):
    @fuzzed
    @given(mutations(FILES[name]))
    def check(text):
        checked(embedder / name, text, lambda: compress.load(embedder).encode("a word of the text"))

    check()


@pytest.mark.parametrize("name", ["tokenizer.json", "compress.json"])
def test_what_is_there_already(embedder, name):
    document = json.loads((embedder / name).read_text())

    @fuzzed
    @given(mutations(document))
    def check(text):
        checked(embedder / name, text, lambda: compress.load(embedder).predict(["a word", "of"]))

    check()


@pytest.mark.parametrize(
    "task", ["token-classification", "fill-mask", "text-generation", "question-answering"]
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_tasks_of_text(tagger, task, name):
    write(tagger / "compress.json", {"task": task})
    item = ("a word", "of the text") if task == "question-answering" else "a word"

    @settings(fuzzed, max_examples=20)
    @given(mutations(FILES[name]))
    def check(text):
        checked(tagger / name, text, lambda: compress.load(tagger).predict(item))

    check()


SPEECH = {
    "vocab.json": {"<pad>": 0, "a": 1, "|": 2},
    "config.json": {"architectures": ["Wav2Vec2ForCTC"], "pad_token_id": 0},
    "tokenizer_config.json": {
        "pad_token": "<pad>", "word_delimiter_token": "|", "target_lang": "eng", "do_lower_case": True,
        "replace_word_delimiter_char": " ",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SPEECH))
def test_transcripts(speech, name):
    @fuzzed
    @given(mutations(SPEECH[name]))
    def check(text):
        sound = np.sin(np.arange(50, dtype=np.float32))
        checked(speech / name, text, lambda: compress.load(speech).predict(sound))

    check()


@pytest.mark.parametrize("document", [IMAGE, SHORTEST], ids=["exact", "shortest"])
def test_any_processor_of_pictures(seeing, document):
    @fuzzed
    @given(mutations(document))
    def check(text):
        picture = np.zeros((9, 12, 3), np.uint8)
        checked(seeing / "preprocessor_config.json", text, lambda: compress.load(seeing).encode(picture))

    check()


@pytest.mark.parametrize("document", [WAVE, WHISPER, AST, STACKED], ids=["wave", "whisper", "ast", "stacked"])
def test_any_processor_of_sound(hearing, listening, document):
    folder = hearing if document is WAVE else listening

    @fuzzed
    @given(mutations(document))
    def check(text):
        sound = np.zeros(4000, np.float32)
        checked(folder / "preprocessor_config.json", text, lambda: compress.load(folder).encode(sound))

    check()


@pytest.mark.parametrize(
    "name", [*sorted(FILES), "tokenizer.json", "compress.json", "2_Dense/model.safetensors"]
)
@pytest.mark.parametrize("kind", ["folder", "pipe", "huge", "loop", "bytes"])
def test_special_files_are_never_read(embedder, tmp_path, name, kind):
    copy = tmp_path / "copy"
    shutil.copytree(embedder, copy)
    path = copy / name
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(6 * 2**30)
    if kind == "loop":
        path.symlink_to(path)
    if kind == "bytes":
        path.write_bytes(b"\xff\xfe{\x00")
    refused_or(lambda: compress.load(copy))
    refused_or(lambda: probe(copy, task="feature-extraction", runtime="onnxruntime"))


@pytest.mark.parametrize(
    "names", [{}, {"linear.weight": 3}, {"linear.weight": 8, "linear.bias": 5}, {"linear.bias": 3}]
)
def test_layers_that_do_not_fit(embedder, tmp_path, names):
    copy = shutil.copytree(embedder, tmp_path / "copy")
    tensors = {
        name: np.ones((3, width) if "weight" in name else width, np.float32) for name, width in names.items()
    }
    save_file(tensors, copy / "2_Dense/model.safetensors")
    with pytest.raises(CompressError, match="module-unsupported"):
        compress.load(copy).encode("a word")
    with pytest.raises(CompressError, match="module-unsupported"):
        probe(copy, task="feature-extraction", runtime="onnxruntime")


def test_the_whole_artifact_answers(embedder, seeing, hearing, listening):
    """What is damaged above is whole before."""
    assert compress.load(embedder).encode("a word").shape == (3,)
    assert probe(embedder, task="feature-extraction", runtime="onnxruntime")
    write(seeing / "preprocessor_config.json", IMAGE)
    write(hearing / "preprocessor_config.json", WAVE)
    assert compress.load(seeing).encode(np.zeros((9, 12, 3), np.uint8)).shape
    assert compress.load(hearing).encode(np.zeros(4000, np.float32)).shape
    write(listening / "preprocessor_config.json", WHISPER)
    assert compress.load(listening).encode(np.zeros(4000, np.float32)).shape
    assert read_manifest(embedder)


def test_tagger_and_transcripts_answer(tagger, speech):
    write(tagger / "compress.json", {"task": "token-classification"})
    assert isinstance(compress.load(tagger).predict("a word"), list)
    assert isinstance(compress.load(speech).predict(np.sin(np.arange(50, dtype=np.float32))), str)
