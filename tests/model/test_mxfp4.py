"""GPT-OSS as it is published, with experts in MXFP4."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from compress.core.errors import CompressError
from compress.model.load import load_module
from compress.model.resolve import resolve
from compress.model.safety import write_shard_index

pytestmark = pytest.mark.model

CODES, SCALES = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


@pytest.fixture
def packed(tiny_copy):
    """A checkpoint of two files: experts with random codes and their scales apart."""
    folder = tiny_copy("gpt-oss")
    tensors = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)

    def bytes_(low, high, *shape):
        return torch.randint(low, high, shape, dtype=torch.uint8, generator=generator)

    scales = {}
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, columns, rows = tensors.pop(name).shape
        tensors[f"{name}_blocks"] = bytes_(0, 256, experts, rows, columns // 32, 16)
        scales[f"{name}_scales"] = bytes_(119, 123, experts, rows, columns // 32)
    assert len(scales) == 4
    (folder / "model.safetensors").unlink()
    write(folder, {CODES: tensors, SCALES: scales})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write(folder, files):
    for file, tensors in files.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
    places = {name: file for file, tensors in files.items() for name in tensors}
    write_shard_index(folder, places)


def found(folder, cache):
    said = []
    model = resolve(str(folder), task=None, offline=True, cache=cache, note=said.append)
    return model, said


def test_values_are_those_that_transformers_reads(packed, tmp_path):
    from transformers import GptOssForCausalLM, Mxfp4Config

    model, said = found(packed, tmp_path / "cache")
    assert "MXFP4" in said[0]
    module = load_module(model.folder, model.task)
    how = Mxfp4Config(dequantize=True)
    other = GptOssForCausalLM.from_pretrained(packed, quantization_config=how, dtype=torch.float32)
    expected = dict(other.named_parameters())
    assert {name for name, _ in module.named_parameters()} == set(expected)
    for name, value in module.named_parameters():
        assert torch.equal(value, expected[name].float()), name
    again, said = found(packed, tmp_path / "cache")
    assert (again.folder, said) == (model.folder, [])


def test_a_damaged_file_is_refused(packed, tmp_path):
    (packed / SCALES).write_bytes((packed / SCALES).read_bytes()[:20])
    with pytest.raises(CompressError):
        found(packed, tmp_path / "cache")


@pytest.mark.parametrize(("damage", "code"), [("missing", "weights-missing"), ("short", "weights-invalid")])
def test_codes_without_fitting_scales_are_refused(damage, code, packed, tmp_path):
    scales = load_file(packed / SCALES)
    name = min(scales)
    values = scales.pop(name)
    if damage == "short":
        scales[name] = values[:, :-1].contiguous()
    write(packed, {CODES: load_file(packed / CODES), SCALES: scales})
    with pytest.raises(CompressError) as caught:
        found(packed, tmp_path / "cache")
    assert caught.value.code == code
    assert not list((tmp_path / "cache" / "mxfp4").glob("[!.]*"))
