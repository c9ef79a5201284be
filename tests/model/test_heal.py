"""Damaged tiny models of every kind learn from what they were."""

from __future__ import annotations

import re
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.graph.session import TensorSpec
from compress.model.healing import loop
from compress.model.load import load_module
from compress.passes.heal import distill
from compress.passes.prune import vocabulary
from compress.runtime.text import load_text
from tests import tiny
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model

WORDS = tiny.TEXT.split()


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny products are faster on one core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def texts(count, *, seed=0, length=12):
    random = np.random.default_rng(seed)
    return [{"text": " ".join(random.choice(WORDS, random.integers(3, length)))} for _ in range(count)]


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def damaged(folder, target, *, noise=0.3):
    """The checkpoint with noise on its matrices."""
    shutil.copytree(folder, target)
    generator = torch.Generator().manual_seed(0)
    tensors = load_file(target / "model.safetensors")
    for name, tensor in tensors.items():
        if tensor.ndim >= 2 and "embed" not in name:
            tensor += noise * tensor.std() * torch.randn(tensor.shape, generator=generator)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def healed(original, student, task, target, *, rows=(), feeds=(), **config):
    target.mkdir()
    progress = Notes()
    context = Context(
        folder=target, calibration=Fixed(feeds, rows=list(rows)), profile=PROFILE, progress=progress,
        original=Artifact(kind=ArtifactKind.CHECKPOINT, folder=original, task=task),
    )  # fmt: skip
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=student, task=task)
    settings = {"steps": 24, "batch": 8, "learning_rate": 3e-3, **config}
    distill.apply(source, distill.Config(**settings), context)
    return losses(progress.notes[-1])


def losses(note):
    before, after = re.search(r"held-out items (\S+) -> (\S+)", note).groups()
    return float(before), float(after)


@pytest.mark.parametrize("name", ["bert", "bert-classifier", "bert-tokens", "bert-mask", "llama", "gpt2"])
def test_models_of_text_learn(name, tiny_copy, tmp_path):
    folder, task = tiny_copy(name), tiny.ARCHITECTURES[name][2]
    student = damaged(folder, tmp_path / "student")
    rows = texts(80)
    if task == "token-classification":
        rows = [{"tokens": row["text"].split()} for row in rows]
    before, after = healed(folder, student, task, tmp_path / "healed", rows=rows)
    assert after < 0.7 * before


def test_what_is_written_is_what_learned(tiny_copy, tmp_path):
    """The stored weights give the answers of the original, closer than the damaged ones do."""
    folder, task = tiny_copy("bert"), "feature-extraction"
    student = damaged(folder, tmp_path / "student")
    healed(folder, student, task, tmp_path / "healed", rows=texts(80), steps=60)
    ids = torch.randint(5, 150, (6, 12), generator=torch.Generator().manual_seed(1))
    shutil.copyfile(student / "config.json", tmp_path / "healed" / "config.json")
    with torch.no_grad():
        original, hurt, well = (
            load_module(one, task)(input_ids=ids).last_hidden_state
            for one in (folder, student, tmp_path / "healed")
        )
    assert (well - original).square().mean() < 0.7 * (hurt - original).square().mean()


@pytest.mark.parametrize("name", ["vit", "clip-vision", "wav2vec2", "whisper-encoder"])
def test_models_of_pictures_and_sound_learn(name, tiny_copy, tmp_path):
    folder, task = tiny_copy(name), tiny.ARCHITECTURES[name][2]
    student = damaged(folder, tmp_path / "student")
    kind = tiny.KINDS[name]
    shape = {"image": (2, 3, 32, 32), "sound": (2, 1600), "features": (2, 80, 3000)}[kind]
    names = {"image": "pixel_values", "sound": "input_values", "features": "input_features"}
    random = np.random.default_rng(0)
    feeds = [{names[kind]: random.normal(size=shape).astype(np.float32)} for _ in range(5)]
    steps = 4 if kind == "features" else 20
    before, after = healed(folder, student, task, tmp_path / "healed", feeds=feeds, steps=steps)
    assert after < before


@pytest.mark.parametrize("name", ["bert", "bert-mask", "llama"])
def test_a_student_with_fewer_tokens_learns(name, tiny_copy, tmp_path):
    folder, task = tiny_copy(name), tiny.ARCHITECTURES[name][2]
    hurt = damaged(folder, tmp_path / "student")
    cut = tmp_path / "cut"
    cut.mkdir()
    context = Context(folder=cut, calibration=Fixed(rows=texts(3)), profile=PROFILE, progress=Silent())
    vocabulary.apply(
        Artifact(kind=ArtifactKind.CHECKPOINT, folder=hurt, task=task), vocabulary.Config(), context
    )
    before, after = healed(folder, cut, task, tmp_path / "healed", rows=texts(80, seed=1))
    assert after < 0.9 * before


@pytest.mark.parametrize("name", ["llama", "bert-mask"])
def test_language_models_learn_in_sixteen_bits(name, tiny_copy, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_step_seconds", lambda healer, kind, mixed: 0.5 if mixed else 1.0)
    folder, task = tiny_copy(name), tiny.ARCHITECTURES[name][2]
    student = damaged(folder, tmp_path / "student")
    timed = {"steps": None, "minutes": 0.02}
    before, after = healed(folder, student, task, tmp_path / "healed", rows=texts(80), **timed)
    assert after < before


def test_a_language_model_is_judged_by_its_next_tokens_alone(tiny_copy, tmp_path):
    """Hidden states of twice the size, of which the head makes the same logits, are nothing to heal."""
    folder, task = tiny_copy("llama"), "text-generation"
    student = shutil.copytree(folder, tmp_path / "student")
    tensors = load_file(student / "model.safetensors")
    tensors["model.norm.weight"] *= 2
    tensors["lm_head.weight"] /= 2
    save_file(tensors, student / "model.safetensors", metadata={"format": "pt"})
    before, _ = healed(folder, student, task, tmp_path / "healed", rows=texts(40), steps=1)
    assert before < 1e-6


def test_labels_are_learned_from(tiny_copy, tmp_path):
    """Two classes that the original does not know: with labels the student learns them."""
    folder, task = tiny_copy("bert-classifier"), "text-classification"
    plain = [row["text"] for row in texts(200) if not {"fox", "dog"} & set(row["text"].split())]
    words = ("dog", "fox")
    rows = [{"text": f"{text} {words[at % 2]}", "label": at % 2} for at, text in enumerate(plain[:120])]
    before = cross_entropy_of(folder, task, rows)
    found = {}
    for name, given in (("with", rows), ("without", [{"text": row["text"]} for row in rows])):
        target = tmp_path / name
        healed(folder, folder, task, target, rows=given, steps=150)
        shutil.copyfile(folder / "config.json", target / "config.json")
        shutil.copyfile(folder / "tokenizer.json", target / "tokenizer.json")
        found[name] = cross_entropy_of(target, task, rows)
    assert found["with"] < 0.8 * before
    assert found["without"] == pytest.approx(before, rel=1e-3)


def cross_entropy_of(folder, task, rows):
    text = load_text(folder, task=task, inputs=[TensorSpec("input_ids", "int64", (None, None))])
    total = 0.0
    for row in rows:
        ids = torch.tensor([text.encodings([row])[0].ids])
        with torch.no_grad():
            logits = load_once(folder, task)(input_ids=ids).logits
        total += torch.nn.functional.cross_entropy(logits, torch.tensor([row["label"]])).item()
    return total / len(rows)


load_once = cache(load_module)


def test_too_few_rows_are_refused(tiny_copy, tmp_path):
    folder = tiny_copy("bert")
    with pytest.raises(CompressError, match="data-too-small"):
        healed(folder, folder, "feature-extraction", tmp_path / "healed", rows=texts(5))
