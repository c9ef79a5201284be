"""Which inputs a module takes and inputs to trace and compare it with, for text, images and sound."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from compress.core.checkpoint_files import ProcessorFile
from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.positions import OFFSET_TYPES
from compress.core.schema import validated
from compress.model.ends import end_of
from compress.model.safety import read_json
from compress.model.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    Tensors = dict[str, torch.Tensor]

PREPROCESSOR = "preprocessor_config.json"

_MOST_PIXELS = 4096**2

_MEDIA = {"pixel_values", "pixel_values_videos", "input_features", "input_values", "audio_input_ids"}
"""Inputs that are pictures, films or sound."""

_CONTENT = {
    "bbox", "xpath_tags_seq", "xpath_subs_seq", "image", "image_patches", "visual_feats", "visual_embeds",
    "visual_bbox", "input_features_mask", "input_shape_ids", "input_pronunciation_ids", "patch_lengths",
}  # fmt: skip
"""What a document or a recording holds besides its words or frames (places on the page, paths in the markup,
shapes of characters), which transformers takes for zeros where it is left out."""

_TEXT = ("input_ids", "attention_mask", "token_type_ids")
"""What tokenizers make and graphs of text take."""
_LONGEST = 512
"""Tokens beyond which no trace or comparison goes: longer ones prove nothing more."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of a module, in the order of its signature.

    `axes` names the dynamic axes of each input; `vocabulary` is the number of token ids (0 without
    text), `longest` the most tokens, samples or frames it takes, `item` the shape of one image or feature
    map, and `bands` the numbers of each frame where sound comes as frames of any count (else 0).
    """

    names: tuple[str, ...]
    axes: dict[str, dict[int, str]]
    vocabulary: int = 0
    longest: int = _LONGEST
    shortest: int = 1
    item: tuple[int, ...] = ()
    bands: int = 0
    end: int | None = None
    """The token that has to stand at the end of each text, and there alone."""

    def sample(self, *, batch: int, length: int, seed: int) -> Tensors:
        """Inputs of a shape, with padding at the end of every second item where there is a mask.

        Token ids are int64 (B, T) drawn from the whole vocabulary, pixels and features float32
        (B, *item), sound float32 (B, T) or frames of it (B, T, bands). `length` is cut to
        what the module takes.
        """
        generator = torch.Generator().manual_seed(seed)
        length = max(self.shortest, min(length, self.longest))
        made = {name: self._one(name, batch, length, generator) for name in self.names}
        if self.end is not None:
            self._put_ends(made, self.end)
        return made

    def _put_ends(self, made: Tensors, end: int) -> None:
        ids = made["input_ids"]
        ids[ids == end] = (end + 1) % self.vocabulary
        lengths = made["attention_mask"].sum(dim=1) if "attention_mask" in made else ids.shape[1]
        ids[torch.arange(len(ids)), lengths - 1] = end

    def _one(self, name: str, batch: int, length: int, generator: torch.Generator) -> torch.Tensor:
        if name == "input_ids":
            return torch.randint(0, self.vocabulary, (batch, length), generator=generator)
        if name == "attention_mask":
            mask = torch.ones(batch, length, dtype=torch.int64)
            mask[1::2, max(1, length - length // 3) :] = 0
            return mask
        if name == "token_type_ids":
            return torch.zeros(batch, length, dtype=torch.int64)
        shape = (batch, *self.item) if self.item else (batch, length, *([self.bands] if self.bands else []))
        return torch.randn(shape, generator=generator)


@contextmanager
def on_own_inputs(module: torch.nn.Module, sample: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Within, where a module runs for the first time on what was made for it, its failure has a name.

    Raises:
        CompressError: the module fails, as where a processor's image size is not the model's.
    """
    try:
        yield
    except CompressError:
        raise
    except Exception as error:  # whatever its operators say of the shapes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in sample.items())
        message = f"{type(module).__name__} does not run on {shapes}: {reason}"
        hint = "config.json and the tokenizer's or processor's settings should be of one model"
        if "pixel_values" in sample:
            hint = f"{PREPROCESSOR} gives images of another size than config.json's image_size"
        raise CompressError("inputs-refused", message, hint=hint) from error


def inputs_of(module: torch.nn.Module, folder: Path) -> Inputs:
    """The inputs that the users of this checkpoint's tokenizer or processor feed.

    Raises:
        CompressError: the module takes inputs that are not supported, or has no processor beside it.
    """
    parameters = inspect.signature(module.forward).parameters
    accepted = set(parameters)
    main = str(getattr(module, "main_input_name", "input_ids"))
    _refuse_content(module, accepted)
    if main == "input_ids":
        inputs = _text(module, folder, accepted)
    elif main in _OTHERS and main in accepted:
        message = f"config.json and {PREPROCESSOR} do not tell the inputs of {type(module).__name__}"
        with translated("inputs-refused", message, hint="copy them from the original"):
            inputs = _OTHERS[main](module, folder, accepted)
    else:
        message = f"the model's main input is '{main}'"
        raise CompressError("inputs-unsupported", message, hint="supported: text, images, sound")
    needed = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [name for name in needed if parameters[name].kind not in starred and name not in inputs.names]
    if needed:
        message = f"{type(module).__name__} needs {', '.join(needed)} besides {', '.join(inputs.names)}"
        raise CompressError("inputs-unsupported", message, hint="supported: text, images, sound")
    return inputs


def _refuse_content(module: torch.nn.Module, accepted: set[str]) -> None:
    """Refuse inputs of several kinds, and what a document holds besides its words."""
    if "input_ids" in accepted and accepted & _MEDIA:
        message = f"a model that reads text and {min(accepted & _MEDIA)} at once is not supported"
        raise CompressError("inputs-unsupported", message, hint="save one of its towers by itself")
    if ignored := sorted(accepted & _CONTENT):
        message = f"{type(module).__name__} reads {', '.join(ignored)} as well, which is not supported"
        raise CompressError("inputs-unsupported", message, hint="without them all would be taken for 0")


def _refuse_unknown_language(module: torch.nn.Module, accepted: set[str]) -> None:
    """Refuse a model with parts for each language that has no language of its own."""
    if "lang_ids" in accepted and getattr(module.config, "default_language", None) is None:
        message = f"{type(module).__name__} has to be told the language of each text"
        hint = "set default_language in config.json to the one that it is used for"
        raise CompressError("inputs-unsupported", message, hint=hint)


def _text(module: torch.nn.Module, folder: Path, accepted: set[str]) -> Inputs:
    _refuse_unknown_language(module, accepted)
    tokenizer = load_tokenizer(folder)
    wanted = [name for name in tokenizer.model_input_names if name in accepted]
    if unknown := [name for name in wanted if name not in _TEXT]:
        message = f"the tokenizer makes '{unknown[0]}' for {type(module).__name__}, which is not supported"
        raise CompressError("inputs-unsupported", message, hint=f"supported: {', '.join(_TEXT)}")
    names = tuple(dict.fromkeys(["input_ids", *wanted]))
    axes = {name: {0: "batch", 1: "sequence"} for name in names}
    config: Any = module.config
    return Inputs(
        names=names,
        axes=axes,
        vocabulary=int(getattr(config, "vocab_size", len(tokenizer))),
        longest=min(_LONGEST, _positions(config)),
        shortest=2,
        end=end_of(module),
    )


def _positions(config: Any) -> int:
    limit = int(
        getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", 0) or 10**9
    )
    # The RoBERTa family numbers positions from padding_idx + 1 (MPNet's padding_idx is 1 whatever the
    # configuration says), so that many rows are never reached.
    offset = max(config.pad_token_id or 0, 1) + 1 if config.model_type in OFFSET_TYPES else 0
    return limit - offset


def _image(module: torch.nn.Module, folder: Path, accepted: set[str]) -> Inputs:
    del accepted
    config: Any = module.config
    height, width = _image_size(_processor(folder), config)
    if height * width > _MOST_PIXELS:
        message = f"{PREPROCESSOR} makes pictures of {height:,} x {width:,} pixels"
        raise CompressError("processor-invalid", message, hint="copy it from the original")
    channels = int(getattr(config, "num_channels", 3))
    return Inputs(
        names=("pixel_values",), axes={"pixel_values": {0: "batch"}}, item=(channels, height, width)
    )


def _image_size(processor: dict[str, Any], config: Any) -> tuple[int, int]:
    for key in ("crop_size", "size"):
        if key == "crop_size" and not processor.get("do_center_crop", False):
            continue
        size = processor.get(key)
        if isinstance(size, int):
            return size, size
        edges = {name: edge for name, edge in size.items() if edge} if isinstance(size, dict) else {}
        if {"height", "width"} <= set(edges):
            return edges["height"], edges["width"]
        if "shortest_edge" in edges:
            return edges["shortest_edge"], edges["shortest_edge"]
    written: Any = getattr(config, "image_size", 224)
    height, width = written if isinstance(written, list | tuple) else (written, written)
    return int(height), int(width)


def _processor(folder: Path) -> dict[str, Any]:
    """The settings of a processor that say something, checked against their schema."""
    values = read_json(folder / PREPROCESSOR, code="processor-missing")
    validated(ProcessorFile, values, where=str(folder / PREPROCESSOR), code="processor-invalid")
    return {name: value for name, value in values.items() if value is not None}


def _sound(module: torch.nn.Module, folder: Path, accepted: set[str]) -> Inputs:
    processor = _processor(folder)
    config: Any = module.config
    if config.model_type == "audio-spectrogram-transformer":
        item = (int(config.max_length), int(config.num_mel_bins))  # (frames, bands), always of this size
        return Inputs(names=("input_values",), axes={"input_values": {0: "batch"}}, item=item)
    names = ["input_values"]
    if processor.get("return_attention_mask") and "attention_mask" in accepted:
        names.append("attention_mask")
    axes = {name: {0: "batch", 1: "samples"} for name in names}
    rate = int(processor.get("sampling_rate", 16000))
    return Inputs(names=tuple(names), axes=axes, longest=rate * 4, shortest=rate // 4)


def _features(module: torch.nn.Module, folder: Path, accepted: set[str]) -> Inputs:
    config: Any = module.config
    processor = _processor(folder)
    if config.model_type == "wav2vec2-bert":
        return _frames(config, accepted)
    bins = int(getattr(config, "num_mel_bins", 0) or processor.get("feature_size", 80))
    frames = int(getattr(config, "max_source_positions", 1500)) * 2
    return Inputs(names=("input_features",), axes={"input_features": {0: "batch"}}, item=(bins, frames))


def _frames(config: Any, accepted: set[str]) -> Inputs:
    """Filter banks of any number of frames, (B, T, bands)."""
    names = ("input_features", *(["attention_mask"] if "attention_mask" in accepted else []))
    return Inputs(
        names=names,
        axes={name: {0: "batch", 1: "frames"} for name in names},
        longest=200,
        shortest=16,
        bands=int(config.feature_projection_input_dim),
    )


_OTHERS = {"pixel_values": _image, "input_values": _sound, "input_features": _features}
"""By the main input of models that read no text, what tells their inputs."""
