"""A classifier of pictures that was trained, judged on labels: figures against PyTorch's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import compress
from tests import samples, tiny

pytestmark = pytest.mark.model


@pytest.fixture(scope="module", params=["vit", "resnet"])
def trained(request, tmp_path_factory):
    """A folder with a model that reads digits, and pictures that it has not seen."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp(request.param)
    tiny.build(request.param, folder)
    data = load_digits()
    pixels = torch.tensor(data.images[400:] / 8 - 1, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)
    pixels = torch.nn.functional.interpolate(pixels, size=(32, 32), mode="bilinear")
    train(folder, request.param, pixels, torch.tensor(data.target[400:]))
    return folder, samples.digits(tmp_path_factory.mktemp("digits"), items=400)


def train(folder, name, pixels, labels):
    import transformers

    torch.manual_seed(0)
    architecture = getattr(transformers, tiny.ARCHITECTURES[name][0])
    model = architecture(architecture.config_class.from_pretrained(folder)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(25):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            model(pixel_values=pixels[batch], labels=labels[batch]).loss.backward()
            optimizer.step()
    model.config.id2label = {index: str(index) for index in range(10)}
    model.config.label2id = {str(index): index for index in range(10)}
    model.eval().save_pretrained(folder)


def accuracy_in_torch(folder: Path, pictures: dict[Path, int]) -> dict[Path, bool]:
    """Which pictures the original module reads correctly, with its pixels made by hand."""
    import transformers

    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    right = {}
    for path, label in pictures.items():
        pixels = torch.tensor(np.asarray(Image.open(path), np.float32) / 255 * 2 - 1).permute(2, 0, 1)[None]
        with torch.inference_mode():
            right[path] = int(model(pixel_values=pixels).logits.argmax()) == label
    return right


@pytest.mark.parametrize("recipe", ["int8", "static"])
def test_the_report_tells_the_accuracy_that_is_there(trained, recipe, cli):
    folder, data = trained
    words = ("--data", data, "--recipe", recipe, "--seconds", "0", "--max-drop", "10pt", "--out", "out")
    called = cli("run", folder, *words, "--json")
    if recipe == "int8" and "nothing-to-quantize" in called.err:
        pytest.skip("a convolutional network has no matrix products of this size")
    assert called.code == 0, called.err
    report = json.loads(called.out)
    pictures = {path: int(path.parent.name) for path in sorted(data.rglob("*.png"))}
    right = accuracy_in_torch(folder, pictures)
    accuracy = report["accuracy"]
    assert accuracy["metric"] == "accuracy"
    assert accuracy["items"] == 300
    assert accuracy["baseline"] > 0.8
    # The test split is three quarters of the pictures, so its accuracy is bounded by the whole's.
    wrong = sum(not one for one in right.values())
    assert 300 - wrong <= round(accuracy["baseline"] * 300) <= sum(right.values())
    found = compress.load("out").classify([str(path) for path in pictures])
    served = sum(one["label"] == str(label) for one, label in zip(found, pictures.values(), strict=True))
    assert abs(served / 400 - sum(right.values()) / 400) <= 0.1
