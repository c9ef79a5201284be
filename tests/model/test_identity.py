"""Half a model is never taken for a whole one, and what cannot be compressed is refused by plan, by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from compress.model.language import _text_kind, _whole
from compress.model.load import load_module
from compress.model.outputs import exported_outputs
from tests import tiny

pytestmark = pytest.mark.model

SIZES = tiny.TEXT_SIZES


def save(folder, architecture, config, *, processor=tiny.tokenizer):
    kind = getattr(transformers, architecture)
    torch.manual_seed(0)
    model = kind(kind.config_class(**config) if isinstance(config, dict) else config).eval()
    model.save_pretrained(folder)
    processor(folder)
    return model


def both_halves(folder, **settings):
    encoder = transformers.BertConfig(**SIZES)
    decoder = transformers.BertConfig(**SIZES, is_decoder=True, add_cross_attention=True)
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    save(folder, "EncoderDecoderModel", config, **settings)


def reading_model(folder):
    encoder = transformers.ViTConfig(**tiny._VIT)
    decoder = transformers.BertConfig(**SIZES, is_decoder=True, add_cross_attention=True)
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    save(folder, "VisionEncoderDecoderModel", config, processor=tiny.image_processor)


MARIAN = {**tiny.BART, "decoder_vocab_size": 160}
LAYOUT = {**SIZES, "max_2d_position_embeddings": 64}
MARKUP = {**SIZES, "max_depth": 4, "xpath_unit_hidden_size": 8, "max_xpath_tag_unit_embeddings": 16}
TOWERS = {
    "text_config": {**SIZES, "projection_dim": 16},
    "vision_config": {**tiny._VIT, "projection_dim": 16},
    "projection_dim": 16,
}
CLASSIFIER = {**tiny.CACHED["llama-wide"][1], "num_labels": 3}


def classifier_without_padding(folder):
    save(folder, "LlamaForSequenceClassification", {**CLASSIFIER, "pad_token_id": None})


def timm(folder):
    tiny.build("vit", folder)
    (folder / "config.json").write_text('{"architecture": "resnet50", "pretrained_cfg": {"tag": "a1_in1k"}}')


MAMBA = {"vocab_size": 160, "hidden_size": 32, "num_heads": 8, "head_dim": 8, "num_hidden_layers": 2,
         "state_size": 8, "n_groups": 2, "expand": 2}  # fmt: skip
VITS = {
    "vocab_size": 160, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
    "flow_size": 32, "spectrogram_bins": 16, "upsample_initial_channel": 32,
    "posterior_encoder_num_wavenet_layers": 1,
    "prior_encoder_num_flows": 1, "prior_encoder_num_wavenet_layers": 1,
}  # fmt: skip

SPEECH = {
    "vocab_size": 160, "hidden_size": 32, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_linear_units": 64, "decoder_linear_units": 64, "num_mel_bins": 16,
    "speech_decoder_postnet_units": 32, "duration_predictor_channels": 32,
    "energy_predictor_channels": 32, "pitch_predictor_channels": 32,
}  # fmt: skip
HIERA = {
    "image_size": [64, 64], "embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2], "num_layers": 2,
    "patch_stride": [4, 4], "masked_unit_size": [8, 8], "query_stride": [2, 2], "num_query_pool": 1,
}  # fmt: skip


def small_pictures(architecture, config):
    """A model whose processor makes pictures of 32 x 32 pixels."""
    return lambda folder: save(folder, architecture, config, processor=tiny.image_processor)


REFUSED = {
    "BartModel": (lambda folder: save(folder, "BartModel", tiny.BART), "an encoder and a decoder"),
    "MarianMTModel": (lambda folder: save(folder, "MarianMTModel", MARIAN), "an encoder and a decoder"),
    "EncoderDecoderModel": (both_halves, "an encoder and a decoder"),
    "VisionEncoderDecoderModel": (reading_model, "an encoder and a decoder"),
    "LayoutLMModel": (lambda folder: save(folder, "LayoutLMModel", LAYOUT), "bbox"),
    "LiltModel": (lambda folder: save(folder, "LiltModel", LAYOUT), "bbox"),
    "MarkupLMModel": (lambda folder: save(folder, "MarkupLMModel", MARKUP), "xpath_subs_seq"),
    "CLIPModel": (lambda folder: save(folder, "CLIPModel", TOWERS), "text and pixel_values at once"),
    "DPRQuestionEncoder": (lambda folder: save(folder, "DPRQuestionEncoder", SIZES), "gives pooler_output"),
    "VitsModel": (lambda folder: save(folder, "VitsModel", VITS), "gives waveform"),
    "ViTMAEModel": (
        lambda folder: save(folder, "ViTMAEModel", tiny._VIT, processor=tiny.image_processor),
        "a random part of each picture",
    ),
    "Mamba2ForCausalLM": (lambda folder: save(folder, "Mamba2ForCausalLM", MAMBA), "mamba2"),
    "bidirectional": (
        lambda folder: save(folder, "GemmaForCausalLM", {**tiny.WIDE, "use_bidirectional_attention": True}),
        "use_bidirectional_attention",
    ),
    "XmodModel": (lambda folder: save(folder, "XmodModel", SIZES), "the language of each text"),
    "FastSpeech2ConformerModel": (
        lambda folder: save(folder, "FastSpeech2ConformerModel", SPEECH),
        "the encoder of FastSpeech2ConformerModel cannot run by itself",
    ),
    "ViT": (small_pictures("ViTForImageClassification", {**tiny._VIT, "image_size": 64}), "(1, 3, 32, 32)"),
    "Hiera": (small_pictures("HieraForImageClassification", HIERA), "(1, 3, 32, 32)"),
    "MixtralModel": (
        lambda folder: save(folder, "MixtralModel", tiny.CACHED["mixtral"][1]),
        "multiplies its experts (MixtralExperts) by grouped_mm",
    ),
    "timm": (timm, "timm library"),
    "padding": (classifier_without_padding, "no pad_token_id"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_plan_refuses_by_name(name, cli, tmp_path):
    make, reason = REFUSED[name]
    make(tmp_path / "model")
    called = cli("plan", tmp_path / "model")
    assert called.code == 2, called.err
    assert reason in called.err


def test_an_encoder_is_taken_alone_where_it_is_asked_for_and_the_rest_is_told(cli, tmp_path):
    model = save(tmp_path / "model", "MarianMTModel", MARIAN)
    called = cli("plan", tmp_path / "model", "--task", "feature-extraction")
    assert called.code == 0, called.err
    lost = sum(weight.numel() for weight in model.model.decoder.layers.parameters())
    said = called.err.split("left out", 1)[1]
    assert "decoder" in said
    assert int(said.split("(")[1].split(" ")[0].replace(",", "")) >= lost


def test_the_projection_of_a_tower_is_what_it_gives(cli, tmp_path):
    config = {**SIZES, "projection_dim": 16}
    model = save(tmp_path / "model", "CLIPTextModelWithProjection", config)
    assert cli("plan", tmp_path / "model").code == 0
    module = load_module(tmp_path / "model", "feature-extraction")
    ids = torch.tensor([[2, 9, 8, 3]])
    with torch.no_grad():
        given, expected = module(input_ids=ids), model(input_ids=ids)
    names = exported_outputs(given.keys(), task="feature-extraction", reads_text=True)
    assert names == ("text_embeds",)
    assert torch.equal(given.text_embeds, expected.text_embeds)


def adapter(folder):
    tiny.build("bert-classifier", folder)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))


def adapter_alone(folder):
    adapter(folder)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").unlink()


def wrapped(folder):
    tiny.build("bert-classifier", folder)
    tensors = load_file(folder / "model.safetensors")
    names = {f"base_model.model.{name}": tensor for name, tensor in tensors.items()}
    save_file(names, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("make", [adapter, adapter_alone, wrapped])
def test_an_adapter_is_to_be_merged_first(make, cli, tmp_path):
    make(tmp_path / "model")
    called = cli("plan", tmp_path / "model")
    assert called.code == 2
    assert "adapter" in called.err
    assert "merge_and_unload()" in called.err


def test_the_artifact_of_a_dot_has_the_folders_name(cli, tiny_models, monkeypatch):
    monkeypatch.chdir(tiny_models("bert"))
    called = cli("plan", ".", "--json")
    assert called.code == 0, called.err
    assert Path(json.loads(called.out)["out"]).name == "bert-cpu"


def reader_of_pictures(folder):
    text = {**tiny.WIDE, "model_type": "gemma", "use_bidirectional_attention": True}
    vision = {**tiny._VIT, "projection_dim": 64}
    config = transformers.PaliGemmaConfig(text_config=text, vision_config=vision, projection_dim=64)
    save(folder, "PaliGemmaForConditionalGeneration", config)


def test_bidirectional_prompts_are_no_part_of_a_language_model(tmp_path):
    reader_of_pictures(tmp_path / "model")
    _, config = _text_kind(tmp_path / "model", _whole(tmp_path / "model"))
    assert not config.use_bidirectional_attention


def test_a_language_model_with_layers_beyond_its_configuration(cli, tmp_path):
    reader_of_pictures(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["num_hidden_layers"] = 1
    path.write_text(json.dumps(config))
    called = cli("plan", tmp_path / "model", "--task", "text-generation")
    assert called.code == 2
    assert "weights-unexpected" in called.err
    assert ".layers.1." in called.err


def test_what_comes_after_an_embedders_graph_is_looked_at_in_plan(cli, tiny_copy):
    folder = tiny_copy("bert")
    modules = [("Transformer", "", None), ("Pooling", "1_Pooling", {}), ("Dense", "2_Dense", {})]
    for _, path, settings in modules[1:]:
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(settings))
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    listed = [
        {"idx": index, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, path, _) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    called = cli("plan", folder)
    assert called.code == 2
    assert "pickle-refused" in called.err
