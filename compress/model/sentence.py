"""What a sentence-transformers folder is: an embedder, a reranker, or something that is not supported.

`modules.json` lists the parts that texts pass through. Embedders, cross-encoders, sparse encoders and models
without a transformer all have one, so that only what it lists, and how each part is set, tells what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from compress.core.errors import CompressError
from compress.core.paths import contained
from compress.core.regular_files import read_json
from compress.core.sentence import module_kind, transformer_settings
from compress.core.visible import visible

if TYPE_CHECKING:
    from pathlib import Path

MODULES = "modules.json"

_SETTINGS = {
    "Pooling": {
        "embedding_dimension", "word_embedding_dimension", "pooling_mode", "include_prompt",
        "pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_tokens",
        "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken",
    },
    "Dense": {
        "in_features", "out_features", "bias", "activation_function", "module_input_name",
        "module_output_name", "use_residual",
    },
    "Normalize": {"module_input_name", "module_output_name"},
    "LayerNorm": {"dimension"},
    "Dropout": {"dropout"},
}  # fmt: skip
"""The supported modules after the Transformer, and the settings of each that are read."""

_VECTORS = ("token_embeddings", "sentence_embedding")
"""What modules read and write: a vector for each token, and one for each text."""

_OTHERS = {
    "StaticEmbedding": "a table of word vectors without a transformer",
    "SpladePooling": "a sparse encoder (SPLADE)",
    "MLMTransformer": "a sparse encoder (SPLADE)",
    "SparseAutoEncoder": "a sparse encoder",
    "SparseStaticEmbedding": "a sparse encoder",
    "LogitScore": "a reranker that reads a language model's logits",
    "MultiVectorMask": "a model with one vector for each token (late interaction)",
    "CLIPModel": "a model that reads pictures and texts",
    "Router": "several models, one of which is chosen for each text",
    "Asym": "several models, one of which is chosen for each text",
}
"""Modules that are known and not supported, and what a model with them is."""

_HARMLESS = {"dtype", "torch_dtype", "attn_implementation", "low_cpu_mem_usage", "trust_remote_code",
             "cache_dir", "local_files_only", "revision", "token", "use_safetensors"}  # fmt: skip
"""Arguments of `from_pretrained` that change no embedding."""


class _Entry(BaseModel):
    """A module as `modules.json` lists it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    idx: int = 0
    path: str = ""
    type: str = Field(min_length=1)


class _Use(BaseModel):
    """`config_sentence_transformers.json`: how a whole model is used."""

    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())

    model_type: str = "SentenceTransformer"
    prompts: dict[str, str] = {}
    default_prompt_name: str | None = None
    similarity_fn_name: Literal["cosine", "dot", "euclidean", "manhattan"] | None = None
    truncate_dim: int | None = Field(default=None, gt=0)
    activation_fn: str | None = None
    keep_in_fp32_modules: Any = None


class _Transformer(BaseModel):
    """`sentence_bert_config.json`: how texts reach the Transformer."""

    model_config = ConfigDict(extra="allow", strict=True)

    max_seq_length: int | None = Field(default=None, gt=0)
    do_lower_case: bool = False
    transformer_task: str = "feature-extraction"
    modality_config: dict[str, dict[str, Any]] | None = None
    module_output_name: str | None = None
    unpad_inputs: bool | None = None


_Schema = TypeVar("_Schema", bound=BaseModel)


@dataclass(frozen=True)
class SentenceModule:
    """A module: the last part of its class's name, its folder and its settings."""

    kind: str
    folder: Path
    settings: dict[str, Any]


def sentence_task(folder: Path) -> str:
    """Tell the task of a folder with `modules.json`, and refuse settings that would be ignored.

    Raises:
        CompressError: a module or one of its settings is not supported, or is of a wrong type.
    """
    transformer, *rest = _modules(folder)
    use = _read(folder / "config_sentence_transformers.json", _Use)
    settings = _read(transformer_settings(transformer.folder), _Transformer)
    _refuse_ignored("config_sentence_transformers.json", use.model_extra, {"__version__"})
    _refuse_ignored("sentence_bert_config.json", _without_harmless(settings.model_extra or {}), set())
    if settings.transformer_task == "sequence-classification":
        return _reranker(rest, use, settings)
    if settings.transformer_task != "feature-extraction" or use.model_type != "SentenceTransformer":
        message = f"a sentence-transformers {use.model_type} for {settings.transformer_task} is not supported"
        raise CompressError("module-unsupported", message, hint="supported: embedders and cross-encoders")
    _check_embedder(rest, use, settings)
    return "feature-extraction"


def transformer_path(folder: Path) -> str:
    """Where in a folder with `modules.json` the Transformer's files are; empty for the folder itself.

    Raises:
        CompressError: the file is not what sentence-transformers writes.
    """
    return _entries(folder)[0].path


def _reranker(rest: list[SentenceModule], use: _Use, settings: _Transformer) -> str:
    if rest:
        message = f"modules.json has a reranker whose scores come from a module '{rest[-1].kind}'"
        hint = "supported: cross-encoders that are a sequence classifier alone"
        raise CompressError("module-unsupported", message, hint=hint)
    if use.default_prompt_name and use.prompts.get(use.default_prompt_name):
        message = f"a reranker with a default prompt ('{visible(use.default_prompt_name)}') is not supported"
        raise CompressError("module-unsupported", message, hint="put it before the texts and remove it here")
    if use.activation_fn and use.activation_fn.rpartition(".")[2] not in ("Sigmoid", "Identity"):
        message = f"a reranker with the activation '{visible(use.activation_fn)}' is not supported"
        raise CompressError("module-unsupported", message, hint="supported: Sigmoid and Identity")
    _refuse_modality(settings, "logits")
    return "text-classification"


def _check_embedder(rest: list[SentenceModule], use: _Use, settings: _Transformer) -> None:
    if not any(module.kind == "Pooling" for module in rest):
        listed = ", ".join(module.kind for module in rest) or "no module after the Transformer"
        message = f"modules.json has no Pooling ({listed}): it gives a vector for each token"
        raise CompressError(
            "module-unsupported", message, hint="models of late interaction are not supported"
        )
    available = {"token_embeddings"}
    for module in rest:
        _refuse_ignored(f"{module.kind}'s config.json", module.settings, _SETTINGS[module.kind])
        available |= _written(module, available)
    if use.default_prompt_name is not None and use.default_prompt_name not in use.prompts:
        message = (
            f"default_prompt_name is '{visible(use.default_prompt_name)}', which is not among the prompts"
        )
        raise CompressError("config-invalid", message, hint="see config_sentence_transformers.json")
    _refuse_modality(settings, "last_hidden_state")


def _written(module: SentenceModule, available: set[str]) -> set[str]:
    """Name what a module writes, and refuse one that reads what no module before it writes."""
    default = "token_embeddings" if module.kind == "Pooling" else "sentence_embedding"
    source = module.settings.get("module_input_name") or default
    target = module.settings.get("module_output_name") or source
    if source not in available or target not in _VECTORS:
        message = f"a module {module.kind} reads '{visible(str(source))}' and writes '{visible(str(target))}'"
        hint = f"supported: {', '.join(_VECTORS)}, each after what makes it"
        raise CompressError("module-unsupported", message, hint=hint)
    return {"sentence_embedding" if module.kind == "Pooling" else target}


def _modules(folder: Path) -> list[SentenceModule]:
    """Read the modules; the first is the Transformer."""
    modules = []
    for position, entry in enumerate(_entries(folder)):
        kind = module_kind(entry.type)
        supported = ("Transformer",) if position == 0 else _SETTINGS
        if kind is None or kind not in supported:
            raise _unsupported(entry.type)
        path = contained(folder, entry.path)
        config = path / "config.json"
        settings = read_json(config, code="config-invalid") if position and config.exists() else {}
        modules.append(SentenceModule(kind, path, settings if isinstance(settings, dict) else {}))
    return modules


def _entries(folder: Path) -> list[_Entry]:
    values = read_json(folder / MODULES, code="config-invalid")
    try:
        entries = TypeAdapter(list[_Entry]).validate_python(values)
    except ValidationError as error:
        raise _invalid(MODULES, error) from None
    if not entries:
        raise CompressError("config-invalid", f"{MODULES} lists no modules", hint="save the model again")
    return sorted(entries, key=lambda entry: entry.idx)


def _unsupported(name: str) -> CompressError:
    kind = name.rpartition(".")[2]
    meaning = f": {_OTHERS[kind]}" if kind in _OTHERS else ""
    message = f"modules.json has a module '{visible(name)}', which is not supported{meaning}"
    return CompressError(
        "module-unsupported", message, hint=f"supported: Transformer, {', '.join(_SETTINGS)}"
    )


def _read(path: Path, schema: type[_Schema]) -> _Schema:
    try:
        return schema.model_validate(read_json(path, code="config-invalid") if path.exists() else {})
    except ValidationError as error:
        raise _invalid(path.name, error) from None


def _invalid(name: str, error: ValidationError) -> CompressError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return CompressError(
        "config-invalid", f"{name}: {visible(where)}: {first['msg']}", hint="save the model again"
    )


def _without_harmless(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave out arguments of `from_pretrained` and settings that change nothing, `tokenizer_args` among them
    where they are empty.
    """
    left = {}
    for name, value in settings.items():
        changing = set(value) - _HARMLESS if isinstance(value, dict) else value
        if changing:
            left[name] = value
    return left


def _refuse_ignored(source: str, settings: dict[str, Any] | None, known: set[str]) -> None:
    ignored = [name for name, value in (settings or {}).items() if name not in known and value is not None]
    if ignored:
        message = f"{source} has '{visible(ignored[0])}', which is not supported"
        raise CompressError("module-unsupported", message, hint="remove it if it changes no result")


def _refuse_modality(settings: _Transformer, output: str) -> None:
    if settings.modality_config is None:
        return
    text = settings.modality_config.get("text", {})
    if text.get("method") != "forward" or text.get("method_output_name") != output:
        message = f"its Transformer reads {', '.join(map(visible, settings.modality_config))} by other means"
        hint = f"supported: text whose '{output}' is taken from the model's forward"
        raise CompressError("module-unsupported", message, hint=hint)
