"""What a model is, before any of its weights is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.paths import folder_digest, folder_files
from compress.core.profile import ModelKind
from compress.model import sources
from compress.model.folder import check_folder
from compress.model.old_layout import flat_folder
from compress.model.plausible import refuse_implausible
from compress.model.safety import read_headers, read_json, refuse_adapter, refuse_repository_code
from compress.model.sentence import MODULES, sentence_task
from compress.model.tasks import check_task, infer_task, language_kind
from compress.model.tokenizer import has_tokenizer
from compress.model.tokenizer_folder import tokenizer_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from compress.model.headers import TensorHeader
    from compress.model.sizes import Sizes


@dataclass(frozen=True, kw_only=True)
class Model:
    """A checkpoint that was found, checked and understood; its weights are still on disk."""

    ref: str
    """As the user named it, with the commit where it came from the Hub."""
    folder: Path
    revision: str | None
    digest: str
    config: dict[str, Any]
    task: str
    kind: ModelKind
    tensors: dict[str, TensorHeader]
    sizes: Sizes | None = None
    """Of a decoder."""
    body_alone: bool = False
    """Whether the user, or the pooling after it, asks for the body (of an encoder-decoder model the encoder)
    whatever the checkpoint holds besides."""

    @property
    def parameters(self) -> int:
        """Elements of all stored tensors (a tied table counts once)."""
        return sum(tensor.elements for tensor in self.tensors.values())


@dataclass(frozen=True, kw_only=True)
class Source:
    """A checkpoint that was found and is safe to read; what it is for is not known yet."""

    ref: str
    """As the user named it, with the commit where it came from the Hub."""
    folder: Path
    revision: str | None

    @property
    def name(self) -> str | None:
        """The repository on the Hub that it came from."""
        return self.ref.partition("@")[0] if self.revision else None


def resolve(ref: str, *, task: str | None, offline: bool, cache: Path, note: Callable[[str], None]) -> Model:
    """Find a model and refuse what is unsafe or unsupported; loads no weights.

    Raises:
        CompressError: it cannot be found, is unsafe, is damaged, or is of an unsupported kind.
    """
    return understand(locate(ref, offline=offline, cache=cache, note=note), task=task, cache=cache, note=note)


def locate(ref: str, *, offline: bool, cache: Path, note: Callable[[str], None]) -> Source:
    """Find a model and refuse what is wrong with its files themselves. Imports no torch.

    Raises:
        CompressError: it cannot be found, is unsafe, or is damaged.
    """
    folder, revision = _find(ref, offline=offline, cache=cache, note=note)
    check_folder(folder)
    refuse_adapter(folder)
    folder = flat_folder(folder, cache=cache, note=note)
    refuse_repository_code(read_json(folder / "config.json", code="config-missing"))
    named = f"{ref.partition('@')[0]}@{revision}" if revision else ref
    return Source(ref=named, folder=folder, revision=revision)


def understand(source: Source, *, task: str | None, cache: Path, note: Callable[[str], None]) -> Model:
    """Tell what a checkpoint is, by what transformers makes of it; loads no weights.

    Args:
        source: The checkpoint.
        task: The task that the user named.
        cache: Where a checkpoint is kept that has to be rewritten.
        note: Takes a line for each thing that is not as its files say.

    Raises:
        CompressError: It is damaged, or of an unsupported kind.
    """
    folder = source.folder
    config = read_json(folder / "config.json", code="config-missing")
    # These import torch, which takes seconds.
    from compress.model.head import consistent_head
    from compress.model.language import language_folder
    from compress.model.mxfp4 import is_mxfp4, mxfp4_folder

    _refuse_unknown_type(config)
    if is_mxfp4(config):
        folder = mxfp4_folder(folder, cache=cache, note=note)
        config = read_json(folder / "config.json", code="config-missing")
    _refuse_quantized(config)
    tensors = read_headers(folder)
    refuse_implausible(config, tensors)
    chosen = _task(task, config, folder)
    if chosen == "text-generation" and language_kind(config):
        folder = language_folder(folder, cache=cache, note=note)
        config, tensors = read_json(folder / "config.json", code="config-missing"), read_headers(folder)
    if chosen in ("text-generation", "fill-mask"):
        folder = consistent_head(folder, chosen, tensors, cache=cache, note=note)
        config, tensors = read_json(folder / "config.json", code="config-missing"), read_headers(folder)
    kind = kind_of(folder, chosen)
    if kind in (ModelKind.ENCODER, ModelKind.DECODER) and has_tokenizer(folder):
        folder = tokenizer_folder(folder, cache=cache, note=note, name=source.name)
    return model_of(source, folder, task=chosen, kind=kind, named=bool(task))


def model_of(
    source: Source, folder: Path, *, task: str, kind: ModelKind, named: bool, sizes: Sizes | None = None
) -> Model:
    """Read a checkpoint of which the task and the kind are known. Imports no torch.

    Args:
        source: The checkpoint as the user gave it.
        folder: The same as it is used, rewritten where that was needed.
        task: Its task.
        kind: Its kind.
        named: Whether the user named the task.
        sizes: What transformers reads in its configuration, of a decoder, where that is known already.

    Raises:
        CompressError: A file is damaged.
    """
    return Model(
        ref=source.ref,
        folder=folder,
        revision=source.revision,
        digest=folder_digest(folder, meaningful_files(folder)),
        config=read_json(folder / "config.json", code="config-missing"),
        task=task,
        kind=kind,
        tensors=read_headers(folder),
        sizes=sizes,
        body_alone=task == "feature-extraction" and (named or (folder / MODULES).exists()),
    )


def _task(named: str | None, config: dict[str, Any], folder: Path) -> str:
    """Tell the task: as the user named it, or what the checkpoint is for.

    Raises:
        CompressError: it is not supported, or pooling is asked of a folder that is no embedder.
    """
    chosen = check_task(named) if named else infer_task(config, folder)
    embeds = chosen == "feature-extraction" and (folder / MODULES).exists()
    if named and embeds and (listed := sentence_task(folder)) != chosen:
        message = f"modules.json lists a model for {listed}, not for {chosen}"
        raise CompressError("task-unsupported", message, hint="leave --task out")
    return chosen


def kind_of(folder: Path, task: str) -> ModelKind:
    """The family of a model, from the structure that its configuration describes."""
    import torch

    from compress.model.load import empty_module

    if task == "text-generation":
        return ModelKind.DECODER
    module = empty_module(folder, task)
    main = str(getattr(module, "main_input_name", "input_ids"))
    if main in ("input_values", "input_features"):
        return ModelKind.AUDIO
    if main != "pixel_values":
        return ModelKind.ENCODER
    convolved = sum(m.weight.numel() for m in module.modules() if isinstance(m, torch.nn.Conv2d))
    total = sum(parameter.numel() for parameter in module.parameters())
    return ModelKind.CONVNET if convolved > total / 2 else ModelKind.VISION


def _find(ref: str, *, offline: bool, cache: Path, note: Callable[[str], None]) -> tuple[Path, str | None]:
    if ref == sources.DEMO:
        if Path(ref).exists():
            note(f"{ref} is the model of the `demo` extra; what lies here under that name is ./{ref}")
        return sources.demo_folder(), None
    if ref.lower().endswith(".gguf") and Path(ref).is_file():
        return sources.gguf_folder(Path(ref), cache=cache, note=note), None
    if sources.is_hub_id(ref):
        return sources.hub_folder(ref, offline=offline)
    return sources.local_folder(ref), None


def meaningful_files(folder: Path) -> list[Path]:
    """What defines the model: weights, configurations, tokenizer; not notes about it or caches."""
    suffixes = {".safetensors", ".json", ".txt", ".model", ".jinja"}
    names = folder_files(folder)
    return [name for name in names if name.suffix in suffixes and not name.parts[0].startswith(".")]


def _refuse_unknown_type(config: dict[str, Any]) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    found = config.get("model_type")
    if "pretrained_cfg" in config or (isinstance(found, str) and found.startswith("timm")):
        message = "this is a model of the timm library, which is not supported"
        hint = "most timm models have a twin in transformers (ViT, DeiT, Swin, ConvNeXt, ResNet ...)"
        raise CompressError("architecture-unsupported", message, hint=hint)
    if not isinstance(found, str) or found not in CONFIG_MAPPING_NAMES:
        hint = "this transformers does not know it: update it, or check config.json"
        message = f"config.json has model_type {found!r}, which transformers does not know"
        raise CompressError("architecture-unknown", message, hint=hint)


def _refuse_quantized(config: dict[str, Any]) -> None:
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "some method")
        message = f"this checkpoint is quantized already ({method})"
        hint = "start from the original: compressing twice loses accuracy twice"
        raise CompressError("already-quantized", message, hint=hint)
