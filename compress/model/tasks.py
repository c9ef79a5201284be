"""Which task a model is for, and which class loads it: optimum's task tables, offline."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError, did_you_mean
from compress.model.sentence import MODULES, sentence_task

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TASKS = (
    "feature-extraction",
    "text-classification",
    "token-classification",
    "question-answering",
    "fill-mask",
    "text-generation",
    "image-classification",
    "audio-classification",
    "automatic-speech-recognition",
)
"""The tasks that are exported, evaluated and served."""

_BY_NAME = {
    "ForImageClassification": "image-classification",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
}

_WRITING = ("text-generation", "automatic-speech-recognition")
"""Tasks that a model with an encoder and a decoder does by writing, one token after the other."""

_CONDITIONAL = ("text2text-generation", "image-to-text", "image-text-to-text", "text-to-audio")


PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2_vl_text": ("qwen2", {}),
    "qwen2_5_vl_text": ("qwen2", {}),
    "qwen3_vl_text": ("qwen3", {}),
    "qwen3_vl_moe_text": ("qwen3_moe", {"norm_topk_prob": True}),
}
"""Kinds without a causal class of their own, the one that reads texts as they do, and what has to be set
there: positions in time, height and width are the same number in texts."""


def language_kind(config: Mapping[str, Any]) -> str | None:
    """The `model_type` of the language model inside of a `config.json`; None where there is none."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    nested = config.get("text_config")
    found = nested.get("model_type") if isinstance(nested, dict) else None
    if not isinstance(found, str) or config.get("is_encoder_decoder"):
        return None
    kind, _ = PLAIN.get(found, (found, {}))
    return kind if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else None


def infer_task(config: dict[str, Any], folder: Path) -> str:
    """The task of a checkpoint from its architecture's name, or from its pooling modules.

    Raises:
        CompressError: it cannot be told, or is one that is not supported.
    """
    if (folder / MODULES).exists():
        return sentence_task(folder)
    names = config.get("architectures") or []
    if not names:
        message = "config.json names no architecture, so the task is not known"
        raise CompressError("task-unknown", message, hint=f"pass --task, one of {', '.join(TASKS)}")
    return _supported(_task_of_class(names[0]), names[0], config)


def check_task(task: str) -> str:
    """The canonical name of a task as the user wrote it (`sentence-similarity`, `ner` ...).

    Raises:
        CompressError: there is no such task, or it is not supported.
    """
    manager = _manager()
    canonical = {"ner": "token-classification", "asr": "automatic-speech-recognition"}.get(task)
    canonical = canonical or str(manager.map_from_synonym(task))
    if canonical not in TASKS:
        raise CompressError(
            "task-unsupported", f"no support for task '{task}'", hint=did_you_mean(task, TASKS)
        )
    return canonical


def named_class(name: str) -> Any:
    """The transformers class of an architecture.

    Raises:
        CompressError: there is none of that name.
    """
    import transformers

    kind = getattr(transformers, name, None)
    if kind is None:
        message = f"transformers {transformers.__version__} has no architecture '{name}'"
        raise CompressError("architecture-unknown", message, hint="update transformers, or check config")
    return kind


def _task_of_class(name: str) -> str:
    kind = named_class(name)
    if name.endswith("ForCTC"):
        return "automatic-speech-recognition"
    if _is_bare(name):
        return "feature-extraction"
    try:
        return str(_manager().infer_task_from_model(kind))
    except ValueError:
        # optimum lists one class for each model type and task; others are told by their name.
        task = next((task for ending, task in _BY_NAME.items() if ending in name), None)
        if task is None:
            hint = f"pass --task, one of {', '.join(TASKS)}"
            raise CompressError("task-unknown", f"'{name}' is of no known task", hint=hint) from None
        return task


def _is_bare(name: str) -> bool:
    """Whether an architecture is a body without a head by transformers' tables; where no table lists it, as
    with towers of pairs of models, by its name.
    """
    from transformers.models.auto import modeling_auto

    bodies = {"MODEL_MAPPING_NAMES", "MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES"}
    tables = {
        table: {kind for kinds in mapping.values() for kind in _as_tuple(kinds)}
        for table, mapping in vars(modeling_auto).items()
        if table.startswith("MODEL_") and table.endswith("_MAPPING_NAMES")
    }
    if any(name in tables[table] for table in bodies):
        return True
    named = name.endswith(("Model", "Encoder", "ModelWithProjection")) and not name.endswith("LMHeadModel")
    return named and not any(name in listed for listed in tables.values())


def _as_tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _supported(task: str, name: str, config: dict[str, Any]) -> str:
    generates = name.endswith(("ForConditionalGeneration", "ForSpeechSeq2Seq"))
    generates |= bool(config.get("is_encoder_decoder")) and task in _WRITING
    if generates and language_kind(config):
        raise CompressError(
            "task-unsupported",
            f"'{name}' reads more than text, which is not supported yet",
            hint="pass --task text-generation to compress its language model alone",
        )
    if task in _CONDITIONAL or generates:
        raise CompressError(
            "task-unsupported",
            f"'{name}' generates with an encoder and a decoder, which is not supported yet",
            hint="pass --task feature-extraction to compress its encoder alone",
        )
    if task not in TASKS:
        hint = f"supported: {', '.join(TASKS)}"
        raise CompressError("task-unsupported", f"'{name}' is for {task}", hint=hint)
    return task


def model_class(task: str, config: dict[str, Any]) -> Any:
    """The transformers class that loads a model for `task`: the one it was saved as where that is a
    body without a head, else the task's auto class.

    Raises:
        CompressError: this kind of model has no head for the task.
    """
    import transformers

    written = (config.get("architectures") or [""])[0]
    if task == "feature-extraction" and _is_bare(written) and hasattr(transformers, written):
        # AutoModel would make a T5Model of what was saved as a T5EncoderModel.
        return getattr(transformers, written)
    name = {"automatic-speech-recognition": "AutoModelForCTC"}.get(task)
    kind = getattr(transformers, name) if name else _manager().get_model_class_for_task(task)
    model_type = config.get("model_type")
    if model_type not in kind._model_mapping._model_mapping:
        message = f"transformers has no {task} model of type '{model_type}'"
        raise CompressError("task-unsupported", message, hint="choose another --task")
    return kind


def _manager() -> Any:
    from optimum.exporters.tasks import TasksManager

    logging.getLogger("optimum").setLevel(logging.ERROR)
    return TasksManager
