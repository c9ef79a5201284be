"""Checkpoints of bitsandbytes, loaded again as transformers' users load them."""

import pytest
import torch

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.errors import CompressError
from compress.passes.export import bitsandbytes as export
from tests import tiny
from tests.unit.graphs import PROFILE

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A tiny Llama of 64 channels: NF4's blocks hold 64 numbers."""
    kind, values, task = tiny.ARCHITECTURES["llama"]
    folder = tmp_path_factory.mktemp("wide") / "model"
    with pytest.MonkeyPatch.context() as patch:
        wider = (kind, {**values, "hidden_size": 64, "intermediate_size": 128}, task)
        patch.setitem(tiny.ARCHITECTURES, "llama", wider)
        tiny.build("llama", folder)
    return folder


@pytest.mark.parametrize(("bits", "limit"), [(8, 0.999), (4, 0.97)])
def test_it_is_loaded_again_and_close(bits, limit, wide, tmp_path):
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    checkpoint = Artifact(kind=ArtifactKind.CHECKPOINT, folder=wide, task="text-generation")
    context = Context(folder=tmp_path, calibration=Fixed(), profile=PROFILE, progress=Silent())
    export.apply(checkpoint, export.Config(bits=bits), context)
    folder = tmp_path / export.FOLDER
    assert AutoTokenizer.from_pretrained(folder)
    ids = torch.arange(5, 45)[None]
    with torch.inference_mode():
        found = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu")(ids).logits.float()
        expected = AutoModelForCausalLM.from_pretrained(wide)(ids).logits
    assert float(torch.cosine_similarity(found.flatten(), expected.flatten(), dim=0)) > limit
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert weights < 0.7 * (wide / "model.safetensors").stat().st_size


def test_a_missing_package_is_said(wide, tmp_path, monkeypatch):
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    checkpoint = Artifact(kind=ArtifactKind.CHECKPOINT, folder=wide, task="text-generation")
    context = Context(folder=tmp_path, calibration=Fixed(), profile=PROFILE, progress=Silent())
    with pytest.raises(CompressError) as caught:
        export.apply(checkpoint, export.Config(), context)
    assert caught.value.code == "extra-missing"
