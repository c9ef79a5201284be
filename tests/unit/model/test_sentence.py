"""modules.json by what it lists: embedders, cross-encoders, and others that are refused by name."""

from __future__ import annotations

import json

import pytest

from compress.core.errors import CompressError
from compress.model.old_layout import flat_folder
from compress.model.sentence import sentence_task

OLD = "sentence_transformers.models."
NEW = "sentence_transformers.base.modules.transformer."
SPARSE = "sentence_transformers.sparse_encoder.modules.splade_pooling."
CROSS = "sentence_transformers.cross_encoder.modules.logit_score."
POOLING = {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True}


def write(folder, *modules, use=None, transformer=None):
    """`modules` are (type, path, settings)."""
    entries = []
    for index, (kind, path, settings) in enumerate(modules):
        (folder / path).mkdir(parents=True, exist_ok=True)
        if settings is not None:
            (folder / path / "config.json").write_text(json.dumps(settings))
        entries.append({"idx": index, "name": str(index), "path": path, "type": kind})
    (folder / "modules.json").write_text(json.dumps(entries))
    if use is not None:
        (folder / "config_sentence_transformers.json").write_text(json.dumps(use))
    if transformer is not None:
        (folder / "sentence_bert_config.json").write_text(json.dumps(transformer))
    return folder


TRANSFORMER = (OLD + "Transformer", "", {})
POOLED = (OLD + "Pooling", "1_Pooling", POOLING)
CLASSIFIER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}


def test_an_embedder_of_any_version(tmp_path):
    normalize = (OLD + "Normalize", "2_Normalize", None)
    folder = write(tmp_path, TRANSFORMER, POOLED, normalize, transformer={"max_seq_length": 128})
    assert sentence_task(folder) == "feature-extraction"


def test_a_cross_encoder_is_a_classifier(tmp_path):
    use = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity", "prompts": {}}
    folder = write(tmp_path, (NEW + "Transformer", "", {}), use=use, transformer=CLASSIFIER)
    assert sentence_task(folder) == "text-classification"


SCORES = {"in_features": 8, "out_features": 1, "module_output_name": "scores"}
REFUSED = {
    "static embedding": ([(OLD + "StaticEmbedding", "", {})], {}, "StaticEmbedding.*word vectors"),
    "splade": (
        [
            (NEW + "Transformer", "", {}),
            (SPARSE + "SpladePooling", "1", {}),
        ],
        {"transformer": {"transformer_task": "fill-mask"}},
        "SPLADE",
    ),
    "masked language model": ([(OLD + "MLMTransformer", "", {})], {}, "SPLADE"),
    "sparse encoder": ([TRANSFORMER, POOLED], {"use": {"model_type": "SparseEncoder"}}, "SparseEncoder"),
    "logit score": (
        [(NEW + "Transformer", "", {}), (CROSS + "LogitScore", "1", {})],
        {"transformer": {"transformer_task": "text-generation"}},
        "LogitScore.*language model's logits",
    ),
    "reranker with a dense head": (
        [(NEW + "Transformer", "", {}), (OLD + "Dense", "1_Dense", SCORES)],
        {"use": {"model_type": "CrossEncoder"}, "transformer": CLASSIFIER},
        "scores come from a module 'Dense'",
    ),
    "reranker with a prompt": (
        [(NEW + "Transformer", "", {})],
        {
            "use": {"model_type": "CrossEncoder", "prompts": {"q": "find: "}, "default_prompt_name": "q"},
            "transformer": CLASSIFIER,
        },
        "default prompt",
    ),
    "reranker with another activation": (
        [(NEW + "Transformer", "", {})],
        {"use": {"activation_fn": "torch.nn.modules.activation.Tanh"}, "transformer": CLASSIFIER},
        "Tanh",
    ),
    "another package's module": (
        [TRANSFORMER, ("pylate.models.Dense.Dense", "1_Dense", {})],
        {},
        "pylate.models.Dense.Dense",
    ),
    "late interaction": ([TRANSFORMER, (OLD + "Dense", "1_Dense", {})], {}, "no Pooling"),
    "a module before what it reads": (
        [TRANSFORMER, (OLD + "Dense", "1_Dense", {}), (OLD + "Pooling", "2_Pooling", POOLING)],
        {},
        "Dense reads 'sentence_embedding'",
    ),
    "a module that reads something else": (
        [TRANSFORMER, POOLED, (OLD + "Normalize", "2_Normalize", {"module_input_name": "scores"})],
        {},
        "reads 'scores'",
    ),
    "several models": ([(OLD + "Router", "", {})], {}, "Router"),
    "unknown setting of pooling": (
        [TRANSFORMER, (OLD + "Pooling", "1_Pooling", POOLING | {"pooling_mode_median": True})],
        {},
        "pooling_mode_median",
    ),
    "unknown setting of the whole": (
        [TRANSFORMER, POOLED],
        {"use": {"attend_to_expansion": True}},
        "attend_to",
    ),
    "arguments that change the model": (
        [TRANSFORMER, POOLED],
        {"transformer": {"config_args": {"is_causal": False}}},
        "config_args",
    ),
    "default prompt that is missing": (
        [TRANSFORMER, POOLED],
        {"use": {"prompts": {}, "default_prompt_name": "query"}},
        "'query', which is not among",
    ),
    "path of a wrong type": ([(OLD + "Transformer", "", {})], {"raw": [{"type": "a", "path": 5}]}, "0.path"),
    "a mapping": ([TRANSFORMER], {"raw": {"0": {}}}, "modules.json"),
    "no modules": ([TRANSFORMER], {"raw": []}, "lists no modules"),
    "truncate_dim of a wrong type": ([TRANSFORMER, POOLED], {"use": {"truncate_dim": "8"}}, "truncate_dim"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_refused_by_name(tmp_path, case):
    modules, more, reason = REFUSED[case]
    raw = more.pop("raw", None) if "raw" in (more := dict(more)) else None
    folder = write(tmp_path, *modules, **more)
    if raw is not None:
        (folder / "modules.json").write_text(json.dumps(raw))
    with pytest.raises(CompressError, match=reason) as caught:
        sentence_task(folder)
    assert caught.value.code in ("module-unsupported", "config-invalid")


def test_arguments_that_change_nothing_are_passed_over(tmp_path):
    settings = {"model_args": {"torch_dtype": "float16"}, "tokenizer_args": {}, "unpad_inputs": False}
    folder = write(tmp_path, TRANSFORMER, POOLED, transformer=settings, use={"__version__": {}})
    assert sentence_task(folder) == "feature-extraction"


def test_the_old_layout_is_flattened(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    inner = model / "0_Transformer"
    write(model, (OLD + "Transformer", "0_Transformer", {"model_type": "bert"}), POOLED)
    (inner / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    (inner / "tokenizer.json").write_text("{}")
    (inner / "model.safetensors").write_bytes(b"weights")
    flat = flat_folder(model, cache=tmp_path / "cache", note=print)
    assert json.loads((flat / "config.json").read_text()) == {"model_type": "bert"}
    assert (flat / "model.safetensors").read_bytes() == b"weights"
    assert json.loads((flat / "1_Pooling/config.json").read_text()) == POOLING
    assert [entry["path"] for entry in json.loads((flat / "modules.json").read_text())] == ["", "1_Pooling"]
    assert not (flat / "0_Transformer").exists()
    assert (flat / "tokenizer.json").exists()
    assert sentence_task(flat) == "feature-extraction"
    assert flat_folder(flat, cache=tmp_path / "cache", note=print) == flat
