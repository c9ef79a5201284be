"""Decoders through the command line to a folder that generates what PyTorch does with the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

import compress
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.profile import load_profile
from compress.model.dequantize import load_dequantized
from compress.model.quantized import QuantizedCheckpoint
from compress.passes.export import genai
from compress.passes.quantize import round as rounding
from tests import tiny

pytestmark = pytest.mark.model

NEW_TOKENS = 12


@pytest.fixture(scope="session")
def decoders(tmp_path_factory):
    root = tmp_path_factory.mktemp("decoders")

    def model(name: str) -> Path:
        if not (root / name).exists():
            tiny.build(name, root / name)
        return root / name

    return model


def step(pass_, artifact, config, folder):
    folder.mkdir(parents=True)
    context = Context(folder=folder, calibration=Fixed([]), profile=load_profile("cpu"), progress=Silent())
    return pass_.apply(artifact, pass_.Config(**config), context)


def greedy(quantized: Path, ids: list[int]) -> list[int]:
    """What PyTorch writes with the dequantized weights, as transformers loads them."""
    module = load_dequantized(quantized, "text-generation")
    found = module.generate(
        torch.tensor([ids]), max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
    )
    return found[0, len(ids) :].tolist()


BUILT = ["llama-tied", "qwen3-wide", "gemma2-wide", "phi3-wide", "mistral", "lfm2", "qwen3.5"]
TRACED = ["gpt2", "falcon", "phi3-long", "deepseek-v2"]
HYBRID = ["granite-hybrid", "falcon-h1", "nemotron-h", "qwen3-next", "gemma3n"]


@pytest.mark.parametrize("name", BUILT + TRACED + HYBRID)
def test_the_graph_writes_what_the_module_writes(name, decoders, tmp_path):
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=decoders(name), task="text-generation")
    config = {"group_size": 0 if name == "phi3-wide" else 16, "symmetric": name == "gpt2"}
    quantized = step(rounding, source, config, tmp_path / "quantized")
    # With products in fp32, since nearly equal chances of a random model would be told apart by rounding.
    made = step(genai, quantized, {"accuracy_level": 1}, tmp_path / "made")
    model = compress.load(made.folder)
    ids = model.tokens("the quick brown fox")
    session = model._decoder.session(ids, longest=len(ids) + NEW_TOKENS)
    assert [session.next() for _ in range(NEW_TOKENS)] == greedy(quantized.folder, ids)
    # Other programs are left to count the cores of their own machine.
    settings = json.loads((made.folder / "genai_config.json").read_text())["model"]["decoder"]
    assert settings["session_options"]["intra_op_num_threads"] == 0
    session.rewind()
    assert [session.next() for _ in range(NEW_TOKENS)] == greedy(quantized.folder, ids)


def test_a_decoder_becomes_an_artifact(cli, decoders, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{tiny.TEXT[start : start + 70]}\n" for start in range(0, 130)))
    recipe = tmp_path / "small.yaml"
    settings = "{group_size: 16, head_bits: 4, minimum_elements: 0, samples: 8, length: 32}"
    recipe.write_text(
        f"steps:\n  - quantize.gptq: {settings}\n  - export.gptq: {{}}\n  - export.genai: {{}}\n"
    )
    target = tmp_path / "small-target.yaml"
    target.write_text(
        "name: small\ndescription: this host\nworkloads:\n"
        "  latency: {batch: 1, length: 16}\n  throughput: {batch: 2, length: 16}\n"
    )
    words = ["--recipe", recipe, "--target", target, "--data", texts, "--seconds", "0", "--max-drop", "3x"]
    called = cli("run", decoders("llama-tied"), *words, "--out", "out", "--json")
    assert called.code == 0, called.err
    report = json.loads(called.out)
    assert report["accuracy"]["metric"] == "perplexity"
    assert [line["name"] for line in report["steps"]] == [
        "export.genai",
        "quantize.gptq",
        "export.gptq",
        "export.genai",
    ]
    assert all(line["cpu_seconds"] > 0 for line in report["steps"])
    for figures in (report["result"], *report["baselines"].values()):
        assert figures["decode_tokens_per_s"] > 0
        assert figures["prefill_tokens_per_s"] > 0
        assert figures["time_to_first_token_ms"] > 0
    assert report["result"]["size_bytes"] < report["baselines"]["onnxruntime_fp32"]["size_bytes"] / 3
    evidence = json.loads(Path("out/evidence.json").read_text())
    assert evidence["uncalibrated"]["accuracy"]["metric"] == "perplexity"
    assert any(note.startswith("plain rounding to the same bits") for note in evidence["notes"])
    assert cli("verify", "out").code == 0
    manifest = json.loads(Path("out/compress.json").read_text())
    assert manifest["runtime"] == "onnxruntime-genai"
    assert {"genai_config.json", "tokenizer.json", "model.onnx", "model.onnx.data"} <= set(manifest["files"])
    assert {"checkpoint/config.json", "checkpoint/model.safetensors"} <= set(manifest["files"])
    model = compress.load("out")
    assert len(model.predict(["the quick", "a lazy"])) == 2
    assert "".join(model.stream("the quick", tokens=5)) == model.generate("the quick", tokens=5)
    with pytest.raises(compress.core.errors.CompressError, match="prompt-length"):
        model.generate("fox " * 200)
    called = cli("bench", "out", "--target", target, "--seconds", "0", "--prompt", "the quick", "--json")
    assert called.code == 0, called.err
    document = json.loads(called.out)
    assert set(document["workloads"]) == {"prefill", "decode"}
    assert document["generations"]["out"]["prompt"] == "the quick"
    assert cli("eval", "out", "--data", texts, "--json").code == 0
    assert "MatMulNBits" in cli("inspect", "out").out


def test_tables_of_few_channels_are_rounded_too(tmp_path):
    module = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**tiny.WIDE, "vocab_size": 2048}))
    module.save_pretrained(tmp_path / "model")
    tiny.tokenizer(tmp_path / "model")
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=tmp_path / "model", task="text-generation")
    quantized = step(rounding, source, {"group_size": 16}, tmp_path / "quantized")
    layouts = QuantizedCheckpoint(quantized.folder).layouts
    assert {"model.embed_tokens.weight", "lm_head.weight"} <= set(layouts)


def test_export_is_for_decoders_alone(tiny_models, tmp_path):
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=tiny_models("bert"), task="feature-extraction")
    with pytest.raises(compress.core.errors.CompressError) as caught:
        step(genai, source, {}, tmp_path / "made")
    assert caught.value.code == "task-unsupported"


def test_decoders_with_recurrent_layers_are_refused_by_name(decoders, tmp_path):
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=decoders("jamba"), task="text-generation")
    with pytest.raises(
        compress.core.errors.CompressError, match="JambaForCausalLM .* in layers 0$"
    ) as caught:
        step(genai, source, {}, tmp_path / "made")
    assert caught.value.code == "cache-unsupported"


def test_a_plan_says_what_is_made_only_if_what_is_tried_before_loses_too_much(cli, decoders):
    called = cli("plan", decoders("llama-tied"), "--target", "cpu", "--json")
    assert called.code == 0, called.err
    unless = {line["name"]: line["unless"] for line in json.loads(called.out)["candidates"]}
    assert unless["gptq-int4-128"] == []
    assert unless["gptq-int4"] == ["gptq-int4-128", "gptq-int4-64"]
    words = cli("plan", decoders("llama-tied"), "--target", "cpu").out
    assert "gptq-int4-64 is made unless gptq-int4-128 keeps the accuracy" in words
    alone = cli("plan", decoders("llama-tied"), "--recipe", "gptq-int4", "--json").out
    assert json.loads(alone)["candidates"][0]["unless"] == []
