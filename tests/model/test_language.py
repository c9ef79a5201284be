"""Language models taken out of checkpoints that read pictures or sound, too, against those."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from compress.core.errors import CompressError
from compress.core.profile import ModelKind
from compress.model.resolve import resolve
from tests import tiny

pytestmark = pytest.mark.model

_TEXT = tiny.WIDE
_PICTURES = dict(
    hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, num_channels=3,
    image_size=32, patch_size=8,
)  # fmt: skip
_FRAMES = dict(
    depth=1, hidden_size=32, out_hidden_size=64, num_heads=4, intermediate_size=64, patch_size=8,
    in_channels=3, fullatt_block_indexes=[0], num_position_embeddings=16, deepstack_visual_indexes=[0],
)  # fmt: skip
_SOUND = dict(
    hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, num_mel_bins=16
)
_THREE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}

WHOLE = {
    "gemma3": (
        "Gemma3ForConditionalGeneration",
        dict(
            text_config={
                **_TEXT,
                "sliding_window": 16,
                "layer_types": ["sliding_attention", "full_attention"],
            },
            vision_config=_PICTURES,
            mm_tokens_per_image=4,
        ),
        "Gemma3ForCausalLM",
    ),
    "llava": (
        "LlavaForConditionalGeneration",
        dict(
            text_config={**_TEXT, "model_type": "llama"},
            vision_config={**_PICTURES, "model_type": "clip_vision_model"},
            image_token_index=5,
        ),
        "LlamaForCausalLM",
    ),
    "qwen2.5-vl": (
        "Qwen2_5_VLForConditionalGeneration",
        dict(text_config={**_TEXT, "rope_parameters": _THREE}, vision_config=_FRAMES),
        "Qwen2ForCausalLM",
    ),
    "qwen3-vl-moe": (
        "Qwen3VLMoeForConditionalGeneration",
        dict(text_config={**_TEXT, **tiny.EXPERTS, "rope_parameters": _THREE}, vision_config=_FRAMES),
        "Qwen3MoeForCausalLM",
    ),
    "qwen3.5": (
        "Qwen3_5ForConditionalGeneration",
        dict(text_config=tiny.CACHED["qwen3.5"][1], vision_config=_FRAMES),
        "Qwen3_5ForCausalLM",
    ),
    "voxtral": (
        "VoxtralForConditionalGeneration",
        dict(text_config={**_TEXT, "model_type": "llama"}, audio_config=_SOUND),
        "LlamaForCausalLM",
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The module by name, written to a folder."""
    root = tmp_path_factory.mktemp("whole")

    def make(name, **saving):
        architecture, values, _ = WHOLE[name]
        kind = getattr(transformers, architecture)
        torch.manual_seed(0)
        module = kind(kind.config_class(**values)).eval()
        tiny.spread(module, 0)
        folder = root / f"{name}-{len(saving)}"
        module.save_pretrained(folder, **saving)
        tiny.tokenizer(folder)
        return folder, module

    return make


def found(folder, tmp_path, task="text-generation"):
    notes = []
    model = resolve(str(folder), task=task, offline=True, cache=tmp_path / "cache", note=notes.append)
    return model, notes


def logits(module, ids):
    with torch.inference_mode():
        return module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


@pytest.mark.parametrize("name", WHOLE)
def test_the_language_model_answers_as_the_whole_does(name, whole, tmp_path):
    folder, module = whole(name)
    model, notes = found(folder, tmp_path)
    assert model.kind is ModelKind.DECODER
    assert model.config["architectures"] == [WHOLE[name][2]]
    assert "other parts are left out" in notes[0]
    text = transformers.AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32).eval()
    assert type(text).__name__ == WHOLE[name][2]
    ids = torch.randint(6, 150, (2, 20), generator=torch.Generator().manual_seed(1))
    assert torch.allclose(logits(text, ids), logits(module, ids), atol=1e-5)
    written = set(model.tensors)
    assert not any("vision" in name or "visual" in name or "audio" in name for name in written)


def test_files_of_several_are_read_one_by_one_and_once(whole, tmp_path):
    folder, module = whole("llava", max_shard_size="50KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    model, notes = found(folder, tmp_path)
    text = transformers.AutoModelForCausalLM.from_pretrained(model.folder, dtype=torch.float32).eval()
    ids = torch.arange(6, 30)[None]
    assert torch.allclose(logits(text, ids), logits(module, ids), atol=1e-5)
    again, more = found(folder, tmp_path)
    assert (again.folder, again.digest, more) == (model.folder, model.digest, [])
    assert len(notes) == 1


def test_a_checkpoint_without_some_of_its_weights_is_refused(whole, tmp_path):
    folder, _ = whole("gemma3")
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    tensors = load_file(damaged / "model.safetensors")
    (name,) = [
        one for one in tensors if one.endswith("layers.1.mlp.down_proj.weight") and "vision" not in one
    ]
    save_file({one: value for one, value in tensors.items() if one != name}, damaged / "model.safetensors")
    with pytest.raises(CompressError, match="first model.layers.1.mlp.down_proj.weight") as caught:
        found(damaged, tmp_path)
    assert caught.value.code == "weights-missing"
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_without_a_task_it_is_refused_with_what_to_ask_for(whole, tmp_path):
    folder, _ = whole("llava")
    with pytest.raises(CompressError, match="reads more than text") as caught:
        found(folder, tmp_path, task=None)
    assert caught.value.code == "task-unsupported"
    assert "--task text-generation" in (caught.value.hint or "")


def test_the_command_line_takes_it_out(cli, whole, tmp_path):
    folder, _ = whole("qwen3.5")
    called = cli("inspect", folder, "--task", "text-generation", "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)["kind"] == "decoder"
    assert cli("plan", folder, "--task", "text-generation").code == 0
    called = cli("plan", folder)
    assert called.code == 2
    assert "its language model alone" in called.err
