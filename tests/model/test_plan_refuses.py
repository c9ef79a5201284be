"""`plan` refuses what `run` refuses about a model's folder, in the same words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.model.test_bad_input import MODELS, config

pytestmark = pytest.mark.model

PROCESSOR = "preprocessor_config.json"
UNREAD = "weights-not-finite"
"""`plan` reads no weight."""


def in_folders():
    """The damages of `test_bad_input` that are told without reading a weight."""
    told = [one for one in MODELS if one[1] != UNREAD]
    return {f"{number}-{code}": ("bert", damage) for number, (damage, code) in enumerate(told)}


def edited(name: str, **values):
    def damage(folder: Path) -> None:
        path = folder / name
        written = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(written | values))

    return damage


def modules(*entries):
    def damage(folder: Path) -> None:
        (folder / "modules.json").write_text(json.dumps(entries))

    return damage


def pipe(name: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return damage


def circle(folder: Path) -> None:
    (folder / "vocab.txt").symlink_to("vocab.txt")


def bare_index(name: str):
    def damage(folder: Path) -> None:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))

    return damage


def deep(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text("[" * 5000)


def module(kind: str, path: object = "1"):
    return {"idx": 1, "name": "1", "path": path, "type": f"sentence_transformers.models.{kind}"}


FOLDERS = {
    **in_folders(),
    "module path": ("bert", modules(module("Pooling", 5))),
    "module elsewhere": ("bert", modules(module("Pooling", "../../elsewhere"))),
    "module unsupported": ("bert", modules(module("WordWeights"))),
    "module without weights": ("bert", modules(module("Dense"))),
    "pipe as config": ("bert", pipe("config.json")),
    "pipe as weights": ("bert", pipe("model.safetensors")),
    "pipe as tokenizer": ("bert", pipe("tokenizer.json")),
    "link in a circle": ("bert", circle),
    "no shard": ("bert", bare_index("")),
    "shard is the folder": ("bert", bare_index(".")),
    "long shard": ("bert", bare_index("x" * 300)),
    "deep tokenizer": ("bert", deep),
    "pad token": ("bert", edited("tokenizer_config.json", pad_token=-1)),
    "million layers": ("bert", lambda folder: config(folder, num_hidden_layers=10**6)),
    "activation": ("bert", lambda folder: config(folder, hidden_act=5)),
    "unknown activation": ("bert", lambda folder: config(folder, hidden_act="magic")),
    "no processor": ("vit", lambda folder: (folder / "preprocessor_config.json").unlink()),
    "processor unknown": ("vit", edited(PROCESSOR, image_processor_type="OwlImageProcessor")),
    "processor size": ("vit", edited(PROCESSOR, size={"height": -1, "width": 10**9})),
    "extractor unknown": ("wav2vec2", edited(PROCESSOR, feature_extractor_type="OwlFeatureExtractor")),
    "decoder tokenizer": ("llama", lambda folder: (folder / "tokenizer.json").unlink()),
    "decoder layers": ("llama", lambda folder: config(folder, num_hidden_layers=10**6)),
}  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", FOLDERS)
def test_plan_and_run_say_the_same(name, cli, tiny_copy) -> None:
    architecture, damage = FOLDERS[name]
    folder = tiny_copy(architecture)
    damage(folder)
    planned, ran = (cli(verb, folder, "--offline") for verb in ("plan", "run"))
    assert planned.code == 2, planned.err
    errors = [line for line in planned.err.splitlines() if line.startswith("error")]
    assert len(errors) == 1, planned.err
    assert planned.err == ran.err
    assert (planned.code, planned.out) == (ran.code, ran.out)
