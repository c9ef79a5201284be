"""The language model of a checkpoint that reads pictures or sound as well, as a checkpoint of its own.

transformers says which module the decoder is and which names of the checkpoint are its own, so that nothing
here goes by architecture but the names in `PLAIN`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from safetensors import safe_open
from safetensors.torch import save_file

from compress.core.cached import Momentary, take
from compress.core.errors import CompressError
from compress.core.paths import folder_digest
from compress.model.account import take_account
from compress.model.auto import auto_config
from compress.model.complete import refuse_unknown
from compress.model.empty import build_empty
from compress.model.safety import SINGLE, read_headers, read_json, weight_files, write_shard_index
from compress.model.sidecars import copy_sidecars
from compress.model.stream import WeightStream
from compress.model.tasks import PLAIN, named_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MARKS = ("bos_token_id", "eos_token_id", "pad_token_id", "dtype")
"""What the whole configuration says of its texts."""

_PROCESSORS = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")


def language_folder(folder: Path, *, cache: Path, note: Callable[[str], None]) -> Path:
    """Write the language model of the checkpoint in `folder` below `cache`, once, one file at a time.

    Raises:
        CompressError: transformers cannot build the model or says of no part that it is the decoder, or a
            weight of that is missing.
    """
    target = cache / "language" / folder_digest(folder)[:24]

    def make(beside: Path, lock: int) -> None:
        left = _take_out(folder, beside)
        note(Momentary(f"its language model alone is taken: {left:,} tensors of other parts are left out"))

    take(target, make, name="language model", note=note).keep()
    return target


def _take_out(folder: Path, target: Path) -> int:
    """The number of tensors that were left out."""
    whole = _whole(folder)
    text = build_empty(*_text_kind(folder, whole))
    stream = WeightStream(folder, whole)
    refuse_unknown(whole, take_account(whole, read_headers(folder)).unused, body_alone=False)
    names = _Names(whole, text, stream)
    names.refuse_missing(text)
    places: dict[str, str] = {}
    left = 0
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as tensors:
            found = {name: names.new(name) for name in tensors.keys()}  # noqa: SIM118 (not a mapping)
            kept = {new: tensors.get_tensor(name).contiguous() for name, new in found.items() if new}
        left += len(found) - len(kept)
        if kept:
            save_file(kept, target / path.name, metadata={"format": "pt"})
            places |= dict.fromkeys(kept, path.name)
    if set(places.values()) != {SINGLE}:
        write_shard_index(target, places)
    copy_sidecars(folder, target, text=True, skip=_PROCESSORS)
    text.config.save_pretrained(target)
    return left


def _whole(folder: Path) -> Any:
    config = auto_config(folder)
    whole: Any = build_empty(named_class((config.architectures or [""])[0]), config)
    whole.tie_weights()
    return whole


class _Names:
    """Names of a whole checkpoint's tensors in the checkpoint of its language model."""

    def __init__(self, whole: Any, text: Any, stream: WeightStream) -> None:
        (body, head), (new_body, new_head) = _parts(whole), _parts(text)
        self._moved = {f"{body}.": f"{new_body}.", f"{head}.": f"{new_head}."}
        self._targets = stream.targets
        self._sources = Counter(stream.targets.values())

    def new(self, name: str) -> str | None:
        """The new name of a tensor; None for one of another part."""
        target = self._targets.get(name)
        if target is None:
            return None
        # What transformers fuses (experts) stays apart, as a checkpoint of the language model has it.
        return self._move(target if self._sources[target] == 1 else name)

    def refuse_missing(self, text: Any) -> None:
        """Refuse a checkpoint that leaves a weight of the language model without a value.

        Raises:
            CompressError: there is one.
        """
        found = {self._move(target) for name, target in self._targets.items() if self.new(name)}
        head = text.get_output_embeddings().weight if text.config.tie_word_embeddings else None
        wanted = {name for name, value in text.named_parameters() if value is not head}
        if missing := sorted(wanted - found):
            message = f"the checkpoint lacks {len(missing)} weights of its language model, first {missing[0]}"
            raise CompressError("weights-missing", message, hint="download it again")

    def _move(self, name: str) -> str | None:
        for old, new in self._moved.items():
            if name.startswith(old):
                return new + name.removeprefix(old)
        return None


def _parts(module: Any) -> tuple[str, str]:
    """The names of what holds the embedding beside the blocks, and of the output layer."""
    names = {id(part): name for name, part in module.named_modules()}
    embedding, head = names.get(id(module.get_input_embeddings())), names.get(id(_head(module)))
    if embedding is None or head is None:
        message = f"transformers tells no embedding and output layer of '{type(module).__name__}'"
        raise CompressError("task-unsupported", message, hint="give the language model's own checkpoint")
    return embedding.rpartition(".")[0], head


def _head(module: Any) -> Any:
    return module.get_output_embeddings() or module.get_decoder().get_output_embeddings()


def _text_kind(folder: Path, whole: Any) -> tuple[Any, Any]:
    """The class of the language model and its configuration, with all values written out: another kind
    may take others where there is none.
    """
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    values = whole.config.get_text_config(decoder=True).to_dict()
    kind, changes = PLAIN.get(values["model_type"], (values["model_type"], {}))
    if kind != values["model_type"]:
        rope = values.get("rope_parameters") or {}
        values["rope_parameters"] = {key: rope[key] for key in rope if not key.startswith("mrope")}
    written = read_json(folder / "config.json", code="config-missing")
    marks = {key: written[key] for key in _MARKS if written.get(key) is not None}
    names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[kind]
    architecture = names if isinstance(names, str) else names[0]
    tied = _head(whole).weight is whole.get_input_embeddings().weight
    if values.get("use_bidirectional_attention") is True:
        # Prompts of pictures are read as a whole; texts are written from left to right.
        changes = {**changes, "use_bidirectional_attention": False}
    own = {"tie_word_embeddings": tied, "model_type": kind, "architectures": [architecture]}
    config = transformers.AutoConfig.for_model(**{**values, **marks, **changes, **own})
    return getattr(transformers, architecture), config
