"""Every weight of a checkpoint is accounted for: none is lost or made up, and tied as transformers has it."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from compress.core.errors import CompressError
from compress.model.head import consistent_head
from compress.model.headers import read_header
from compress.model.load import load_module
from compress.model.outputs import unread_weights
from compress.model.walk import BlockWalk

pytestmark = pytest.mark.model


def rewrite(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def configure(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def without(part):
    def change(tensors):
        names = [name for name in tensors if part in name]
        assert names
        for name in names:
            del tensors[name]

    return change


def test_a_layer_beyond_the_configuration_is_refused_by_plan(cli, tiny_copy):
    folder = tiny_copy("bert")
    configure(folder, num_hidden_layers=1)
    called = cli("plan", folder)
    assert called.code == 2
    assert "weights-unexpected" in called.err
    assert "encoder.layer.1." in called.err


def test_a_decoders_layer_beyond_the_configuration_is_refused_by_plan(cli, tiny_copy):
    folder = tiny_copy("llama")
    configure(folder, num_hidden_layers=1)
    called = cli("plan", folder)
    assert called.code == 2
    assert "model.layers.1." in called.err


@pytest.mark.parametrize("recipe", ["gptq-int4", "round-int8"])
@pytest.mark.parametrize(
    ("damage", "code", "name"),
    [
        (lambda folder: configure(folder, num_hidden_layers=1), "weights-unexpected", "model.layers.1."),
        (
            lambda folder: rewrite(folder, without("layers.1.self_attn.k_proj")),
            "weights-missing",
            "model.layers.1.self_attn.k_proj.weight",
        ),
    ],
)
def test_a_decoder_is_looked_at_before_anything_is_calibrated(
    recipe, damage, code, name, cli, tiny_copy, monkeypatch
):
    def prepare(*args, **kwargs):
        raise AssertionError("rows were drawn for calibration")

    monkeypatch.setattr("compress.pipeline.run.prepare_items", prepare)
    folder = tiny_copy("llama-wide")
    damage(folder)
    for verb in ("plan", "run"):
        called = cli(verb, folder, "--recipe", recipe)
        assert called.code == 2, called.err
        assert code in called.err
        assert name in called.err


def test_a_classifier_without_its_pooler_is_refused_by_plan_and_by_loading(cli, tiny_copy):
    folder = tiny_copy("bert-classifier")
    rewrite(folder, without("pooler"))
    called = cli("plan", folder)
    assert called.code == 2
    assert "bert.pooler.dense.bias" in called.err
    with pytest.raises(CompressError, match=r"bert\.pooler\.dense\.bias"):
        load_module(folder, "text-classification")


def test_an_encoder_needs_no_pooler(tiny_copy):
    folder = tiny_copy("bert")
    rewrite(folder, without("pooler"))
    module = load_module(folder, "feature-extraction")
    names = ["pooler.dense.weight", "encoder.layer.1.output.dense.weight"]
    assert unread_weights(module, "feature-extraction", names) == {"pooler.dense.weight"}


def test_a_pooler_that_embeds_pictures_is_needed(cli, tiny_copy):
    folder = tiny_copy("vit")
    called = cli("plan", folder, "--task", "feature-extraction")
    assert called.code == 2
    assert "pooler.dense" in called.err


def test_heads_of_pretraining_are_left_out_and_told(cli, tiny_copy):
    folder = tiny_copy("bert-mask")
    rewrite(
        folder,
        lambda tensors: tensors.update(
            {"cls.seq_relationship.weight": torch.ones(2, 32), "cls.seq_relationship.bias": torch.ones(2)}
        ),
    )
    called = cli("plan", folder)
    assert called.code == 0, called.err
    assert "cls.seq_relationship (66 parameters)" in called.err


def test_a_tensor_that_no_class_knows_is_refused(cli, tiny_copy):
    folder = tiny_copy("bert-mask")
    rewrite(folder, lambda tensors: tensors.update({"projection.weight": torch.ones(2, 32)}))
    called = cli("plan", folder)
    assert called.code == 2
    assert "projection.weight" in called.err


def test_a_body_is_taken_from_under_any_head_when_it_is_asked_for(cli, tiny_copy):
    folder = tiny_copy("bert")
    rewrite(folder, lambda tensors: tensors.update({"linear.weight": torch.ones(16, 32)}))
    assert cli("plan", folder).code == 2
    called = cli("plan", folder, "--task", "feature-extraction")
    assert called.code == 0, called.err
    assert "linear (512 parameters)" in called.err


OBSOLETE = {
    "llama": [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.1.self_attn.rotary_emb.cos_cached",
    ],
    "gpt2": [
        "transformer.h.0.attn.bias",
        "transformer.h.1.attn.masked_bias",
        "transformer.h.0.attn.causal_mask",
    ],
    "bert": ["embeddings.position_ids"],
    "swin": ["swin.encoder.layers.0.blocks.0.attention.self.relative_position_index"],
}


@pytest.mark.parametrize("name", OBSOLETE)
def test_stored_buffers_of_older_versions_are_no_weights(name, cli, tiny_copy):
    folder = tiny_copy(name)
    rewrite(folder, lambda tensors: tensors.update({buffer: torch.ones(4) for buffer in OBSOLETE[name]}))
    called = cli("plan", folder)
    assert called.code == 0, called.err
    assert "left out" not in called.err


def test_a_mask_for_training_may_be_missing(tiny_copy):
    folder = tiny_copy("wav2vec2")
    rewrite(folder, without("masked_spec_embed"))
    load_module(folder, "automatic-speech-recognition")


@pytest.mark.parametrize("holds", ["another head", "the table under the head's name"])
def test_tied_or_not_is_what_transformers_makes_of_the_checkpoint(holds, tiny_models, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_models("llama-tied"), folder)

    def change(tensors):
        if holds == "another head":
            tensors["lm_head.weight"] = torch.randn(tensors["model.embed_tokens.weight"].shape)
        else:
            tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")

    rewrite(folder, change)
    reference = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    names = read_header(folder / "model.safetensors")
    notes = []
    found = consistent_head(folder, "text-generation", names, cache=tmp_path / "cache", note=notes.append)
    walk = BlockWalk(found, "text-generation")
    with walk.outer():
        embedding = walk.module.get_input_embeddings().weight
        head = walk.module.get_output_embeddings().weight
        assert torch.equal(embedding, reference.get_input_embeddings().weight)
        assert torch.equal(head, reference.get_output_embeddings().weight)
    assert len(notes) == (holds == "another head")


def test_a_checkpoint_that_agrees_with_itself_stays_where_it_is(tiny_models, tmp_path):
    folder = tiny_models("llama-tied")
    names = read_header(folder / "model.safetensors")
    assert consistent_head(folder, "text-generation", names, cache=tmp_path, note=print) == folder
