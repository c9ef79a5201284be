"""Bad input: one line, the right code, the documented exit code, and nothing left behind."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.passes.export import onnx
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model


def config(folder: Path, **values):
    path = folder / "config.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({key: v for key, v in {**written, **values}.items() if v is not None}))


def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def truncated(folder):
    weights(folder).write_bytes(weights(folder).read_bytes()[:-100])


def cut_in_the_header(folder):
    weights(folder).write_bytes(weights(folder).read_bytes()[:50])


def header_too_large(folder):
    weights(folder).write_bytes(struct.pack("<Q", 10**12) + b"{}")


def lying_shape(folder):
    data = weights(folder).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    first = next(name for name in header if name != "__metadata__")
    header[first]["shape"][0] += 1
    text = json.dumps(header).encode()
    weights(folder).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def not_a_number(folder):
    tensors = load_file(weights(folder))
    name = next(name for name in tensors if tensors[name].ndim == 2)
    tensors[name][0, 0] = np.nan
    save_file(tensors, weights(folder), metadata={"format": "pt"})


def one_weight_less(folder):
    tensors = load_file(weights(folder))
    tensors.pop(next(name for name in tensors if "query.weight" in name))
    save_file(tensors, weights(folder), metadata={"format": "pt"})


def only_pickle(folder):
    weights(folder).rename(folder / "pytorch_model.bin")


def no_weights(folder):
    weights(folder).unlink()


def shard_that_leaves(folder):
    index = {"metadata": {}, "weight_map": {"a": "../outside.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def shard_missing(folder):
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def link_that_leaves(folder):
    secret = folder.parent / "secret.json"
    secret.write_text("{}")
    (folder / "extra.json").symlink_to(secret)


def longformer(folder):
    config(folder, model_type="longformer", architectures=["LongformerModel"])


MODELS = [
    (truncated, "safetensors-invalid"),
    (cut_in_the_header, "safetensors-invalid"),
    (header_too_large, "safetensors-invalid"),
    (lying_shape, "safetensors-invalid"),
    (not_a_number, "weights-not-finite"),
    (one_weight_less, "weights-missing"),
    (only_pickle, "pickle-refused"),
    (no_weights, "weights-missing"),
    (shard_that_leaves, "path-escapes"),
    (shard_missing, "weights-missing"),
    (link_that_leaves, "path-escapes"),
    (lambda folder: config(folder, auto_map={"AutoModel": "evil.Model"}), "repository-code"),
    (lambda folder: config(folder, model_type="brand-new"), "architecture-unknown"),
    (lambda folder: config(folder, architectures=["BrandNewModel"]), "architecture-unknown"),
    (longformer, "architecture-untraceable"),
    (lambda folder: config(folder, architectures=None), "task-unknown"),
    (lambda folder: config(folder, architectures=["T5ForConditionalGeneration"]), "task-unsupported"),
    (lambda folder: config(folder, quantization_config={"quant_method": "gptq"}), "already-quantized"),
    (lambda folder: config(folder, hidden_size=48), "weights-mismatched"),
    (lambda folder: config(folder, num_attention_heads=5), "model-unloadable"),
    (lambda folder: (folder / "config.json").write_text("{"), "config-missing"),
    (lambda folder: (folder / "config.json").unlink(), "config-missing"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer-missing"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer-invalid"),
]


def refused(called, code, folder: Path, *, exit_code: int = 2):
    lines = called.err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error")]
    assert called.code == exit_code, called.err
    assert len(errors) == 1, called.err
    assert errors[0].startswith(f"error[{code}]: ")
    assert lines[-1].startswith("hint: ")
    assert "Traceback" not in called.err
    assert called.out == ""
    assert [path.name for path in folder.iterdir()] == []


@pytest.mark.parametrize(
    ("damage", "code"), MODELS, ids=[f"{index}-{code}" for index, (_, code) in enumerate(MODELS)]
)
def test_a_model_that_cannot_be_used(damage, code, cli, tiny_copy):
    folder = tiny_copy("bert")
    damage(folder)
    refused(cli("run", folder), code, Path.cwd())


def test_a_processor_of_another_model(tiny_copy, tmp_path):
    folder = tiny_copy("vit")
    path = folder / "preprocessor_config.json"
    written = json.loads(path.read_text()) | {"size": {"height": 48, "width": 48}}
    path.write_text(json.dumps(written))
    context = Context(folder=tmp_path, calibration=Fixed(), profile=PROFILE, progress=Silent())
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=folder, task="image-classification")
    with pytest.raises(CompressError, match=r"pixel_values \(1, 3, 48, 48\)") as caught:
        onnx.apply(source, onnx.Config(), context)
    assert caught.value.code == "inputs-refused"
    assert "preprocessor_config.json gives images of another size" in caught.value.hint


def test_a_plan_takes_an_output(cli, tiny_models):
    called = cli("plan", tiny_models("bert"), "--out", "there", "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)["out"] == "there"


WORDS = [
    (("run", "no/such/folder"), "model-unknown"),
    (("run", "org/name"), "offline-miss"),
    (("run", "{model}", "--target", "cpuu"), "profile-unknown"),
    (("run", "{model}", "--recipe", "int9"), "recipe-unknown"),
    (("run", "{model}", "--recipe", "{step}"), "step-unknown"),
    (("run", "{model}", "--recipe", "{key}"), "step-invalid"),
    (("run", "{model}", "--recipe", "{order}"), "recipe-invalid"),
    (("run", "{model}", "--task", "divination"), "task-unsupported"),
    (("run", "{model}", "--task", "image-classification"), "task-unsupported"),
    (("run", "{model}", "--max-drop", "little"), "budget-invalid"),
    (("run", "{model}", "--max-size", "small"), "budget-invalid"),
    (("run", "{model}", "--min-speedup", "-1x"), "budget-invalid"),
    (("run", "{model}", "--data", "absent.csv"), "data-missing"),
    (("run", "{model}", "--data", "{empty}"), "data-empty"),
    (("run", "{model}", "--data", "{table}", "--column", "text=body"), "column-missing"),
    (("run", "{model}", "--metric", "luck"), "metric-unknown"),
    (("run", "{model}", "--out", "{table}"), "output-exists"),
    (("run", "{model}", "--out", "{table}/deep"), "output-unwritable"),
    (("run", "{model}", "--seed", "many"), "usage"),
    (("run",), "jobs-missing"),
    (("rum", "demo"), "usage"),
    (("plan", "{pickle}"), "pickle-refused"),
    (("plan", "{gguf}"), "gguf-invalid"),
]


@pytest.fixture
def files(tmp_path, tiny_models):
    """Words in braces, as paths of files that are wrong in some way."""
    folder = tmp_path / "files"
    folder.mkdir()
    texts = {
        "step": "steps:\n  - quantize.dynamicc: {}\n",
        "key": "steps:\n  - quantize.dynamic: {per_chanel: true}\n",
        "order": "steps:\n  - export.onnx: {}\n  - export.onnx: {}\n",
    }
    paths = {name: folder / f"{name}.yaml" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    for name, file, text in [
        ("empty", "empty.csv", "text\n"),
        ("table", "table.csv", "text\none\ntwo\n"),
        ("pickle", "model.bin", "x"),
        ("gguf", "model.gguf", "not a gguf"),
    ]:
        paths[name] = folder / file
        paths[name].write_text(text)
    return {**paths, "model": tiny_models("bert")}


@pytest.mark.parametrize(("words", "code"), WORDS, ids=[" ".join(words[2:] or words) for words, _ in WORDS])
def test_words_that_cannot_be_meant(words, code, cli, files):
    refused(cli(*[word.format(**files) for word in words]), code, Path.cwd())


def test_an_output_that_is_there_is_not_touched(cli, files):
    Path("mine").mkdir()
    Path("mine/precious").write_text("x")
    for words in ((), ("--overwrite",)):
        called = cli("run", files["model"], "--out", "mine", *words)
        assert called.code == 2
        assert "error[output-exists]" in called.err
        assert Path("mine/precious").read_text() == "x"
