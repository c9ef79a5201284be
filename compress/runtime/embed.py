"""Embeddings: what comes after the graph, from `modules.json` and the folders that it names."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from compress.core.errors import CompressError
from compress.core.paths import contained
from compress.core.regular_files import read_bytes
from compress.core.sentence import module_kind
from compress.core.visible import visible
from compress.runtime.activations import activation_named
from compress.runtime.files import read_modules, read_settings
from compress.runtime.outputs import hidden_of
from compress.runtime.pooling import pool, pooling_modes, refuse_unknown_modes
from compress.runtime.prompt import prompt_length
from compress.runtime.schemas import LayerConfig, PoolingConfig
from compress.runtime.text import default_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Arrays = dict[str, np.ndarray]
    Module = Callable[[Arrays], Arrays]

_READY = ("sentence_embedding", "text_embeds", "image_embeds", "audio_embeds")
"""Outputs that are one vector an item already."""


@dataclass(frozen=True)
class Head:
    """The modules after the Transformer, in their order; without any, what `plain_embedding` does."""

    modules: tuple[Module, ...] = ()
    width: int | None = None
    """How many numbers of each embedding are given; None gives all."""
    similarity: str = "cosine"
    """How two embeddings are compared: by `cosine`, `dot`, `euclidean` or `manhattan`."""

    def apply(
        self,
        outputs: Mapping[str, np.ndarray],
        feeds: Mapping[str, np.ndarray],
        *,
        normalize: bool | None = None,
    ) -> np.ndarray:
        """The embeddings (B, D) float32 of one batch.

        `normalize` scales them to length one (True), leaves them as they come (False), or does what
        the model's files say (None).
        """
        ready = next((outputs[name] for name in _READY if name in outputs), None)
        if ready is not None:
            vectors = ready
        elif self.modules:
            vectors = self._through_modules(outputs, feeds, normalize)
        else:
            vectors = plain_embedding(outputs, feeds)
        vectors = vectors[..., : self.width].astype(np.float32, copy=False)
        return unit(vectors) if normalize else vectors

    def after_prompt(self, tokens: int) -> Head:
        """Give the same modules for texts behind a prompt of so many tokens."""
        modules = (
            module.after_prompt(tokens) if isinstance(module, Pooling) else module for module in self.modules
        )
        return replace(self, modules=tuple(modules))

    def similarities(self, outputs: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        """Compare the first half of a batch with the second: float64 (B / 2,), larger for what is alike."""
        unit_length = True if self.similarity == "cosine" else None
        vectors = self.apply(outputs, feeds, normalize=unit_length).astype(np.float64)
        first, second = np.split(vectors, 2)
        if self.similarity in ("cosine", "dot"):
            return np.asarray((first * second).sum(axis=-1))
        order = 2 if self.similarity == "euclidean" else 1
        return np.asarray(-np.linalg.norm(first - second, ord=order, axis=-1))

    def _through_modules(
        self, outputs: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray], normalize: bool | None
    ) -> np.ndarray:
        hidden = hidden_of(outputs)
        arrays = {"token_embeddings": hidden, "attention_mask": frame_mask(feeds, hidden.shape)}
        try:
            for module in self.modules:
                if normalize is not False or not isinstance(module, Normalize):
                    arrays = module(arrays)
            return arrays["sentence_embedding"]
        except (LookupError, ValueError) as error:  # names and sizes that do not fit each other
            reason = visible(str(error).splitlines()[0])
            message = f"the modules of this model do not fit each other: {reason}"
            raise CompressError("module-unsupported", message, hint="see modules.json") from error


def plain_embedding(outputs: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    """One vector an item of a bare encoder (B, D): of a picture the model's own pooled output where it
    has one, of everything else the mean over the tokens, frames or patches that are not padding.
    """
    if "pixel_values" in feeds and "pooler_output" in outputs:
        vectors = outputs["pooler_output"]
        return np.asarray(vectors.reshape(len(vectors), -1))
    hidden = hidden_of(outputs)
    if hidden.ndim == 2:
        return hidden
    if hidden.ndim == 4:  # (B, C, H, W) of a convolutional network
        return np.asarray(hidden.mean(axis=(2, 3)))
    return pool(hidden, frame_mask(feeds, hidden.shape))


def pooled(
    outputs: Mapping[str, np.ndarray],
    feeds: Mapping[str, np.ndarray],
    pooling: Sequence[str] = ("mean",),
) -> np.ndarray:
    """The last hidden states pooled over what is not padding: (B, D * len(pooling)) float32."""
    hidden = hidden_of(outputs)
    return pool(hidden, frame_mask(feeds, hidden.shape), pooling)


def frame_mask(feeds: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Which of the hidden states (B, T, ...) of one batch belong to the item: (B, T) of 0 and 1.

    Audio models shorten time, so the mask of their samples is scaled to T (to within a frame).
    """
    mask = feeds.get("attention_mask")
    if mask is None or mask.ndim != 2:
        return np.ones(shape[:2], dtype=np.int64)
    if mask.shape[1] == shape[1]:
        return mask
    counts = np.maximum(np.rint(mask.sum(axis=1) * shape[1] / mask.shape[1]), 1)
    return np.asarray(np.arange(shape[1])[None, :] < counts[:, None], dtype=np.int64)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to length one (zero rows stay)."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def load_head(folder: Path) -> Head:
    """The modules that `modules.json` in `folder` lists after the Transformer; none without the file.

    Raises:
        CompressError: a module is of an unsupported kind, leads out of the folder or lacks its weights.
    """
    modules = []
    for entry in read_modules(folder):
        if module_kind(entry.type) not in ("Transformer", "Dropout"):
            modules.append(_module(entry.type, contained(folder, entry.path), model=folder))
    use = read_settings(folder / "config_sentence_transformers.json")
    similarity = use.get("similarity_fn_name") or "cosine"
    return Head(tuple(modules), width=use.get("truncate_dim"), similarity=similarity)


def _module(name: str, folder: Path, *, model: Path) -> Module:
    kinds: dict[str, Callable[[Path], Module]] = {
        "Pooling": partial(Pooling, model=model),
        "Dense": Dense,
        "Normalize": Normalize,
        "LayerNorm": LayerNorm,
    }
    kind = module_kind(name)
    if kind is None or kind not in kinds:
        message = f"modules.json has a module '{name}', which is not supported"
        raise CompressError("module-unsupported", message, hint=f"supported: {', '.join(kinds)}")
    return kinds[kind](folder)


class Pooling:
    """Tokens to one vector; concatenates if there are several modes.

    `model` is the folder of the whole model, whose prompt may be left out (`include_prompt`).
    """

    def __init__(self, folder: Path, *, model: Path) -> None:
        config = read_settings(folder / "config.json", PoolingConfig)
        self._modes = pooling_modes(config)
        refuse_unknown_modes(self._modes)
        self._leaves_out = config.get("include_prompt") is False
        self._skipped = prompt_length(model, default_prompt(model)) if self._leaves_out else 0

    def after_prompt(self, tokens: int) -> Pooling:
        """Give the same pooling for texts behind a prompt of so many tokens."""
        other = copy(self)
        other._skipped = tokens if self._leaves_out else 0
        return other

    def __call__(self, arrays: Arrays) -> Arrays:
        """Add `sentence_embedding`."""
        hidden, mask = arrays["token_embeddings"], arrays["attention_mask"]
        vectors = pool(hidden, mask, self._modes, skipped=self._skipped)
        return arrays | {"sentence_embedding": vectors}


class Dense:
    """A linear layer with an activation, of the vectors or of the tokens."""

    def __init__(self, folder: Path) -> None:
        config = read_settings(folder / "config.json", LayerConfig)
        weights = _weights(folder, "linear.weight")
        self._weight, self._bias = weights["linear.weight"], weights.get("linear.bias", np.float32(0))
        self._activation = activation_named(str(config.get("activation_function") or "Tanh"))
        self._residual = weights.get("residual.weight") if config.get("use_residual") else None
        self._adds = bool(config.get("use_residual"))
        self._source = str(config.get("module_input_name") or "sentence_embedding")
        self._target = str(config.get("module_output_name") or self._source)

    def __call__(self, arrays: Arrays) -> Arrays:
        """Replace the vectors (..., in) by (..., out)."""
        given = arrays[self._source]
        vectors = self._activation(given @ self._weight.T + self._bias)
        if self._adds:
            vectors = vectors + (given if self._residual is None else given @ self._residual.T)
        return arrays | {self._target: vectors}


class Normalize:
    """Scale to length one."""

    def __init__(self, folder: Path) -> None:
        config = read_settings(folder / "config.json", LayerConfig)
        self._source = str(config.get("module_input_name") or "sentence_embedding")
        self._target = str(config.get("module_output_name") or self._source)

    def __call__(self, arrays: Arrays) -> Arrays:
        """Replace the vectors."""
        return arrays | {self._target: unit(arrays[self._source])}


class LayerNorm:
    """Layer normalization of the vectors."""

    def __init__(self, folder: Path) -> None:
        weights = _weights(folder, "norm.weight", "norm.bias")
        self._weight, self._bias = weights["norm.weight"], weights["norm.bias"]

    def __call__(self, arrays: Arrays) -> Arrays:
        """Replace the vectors."""
        given = arrays["sentence_embedding"]
        centred = given - given.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(given.var(axis=-1, keepdims=True) + 1e-5)
        return arrays | {"sentence_embedding": scaled * self._weight + self._bias}


def _weights(folder: Path, *needed: str) -> dict[str, np.ndarray]:
    """The tensors of a module, float32 by name.

    Raises:
        CompressError: There is no safetensors file, it is damaged, or lacks one of the `needed`.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        pickled = (folder / "pytorch_model.bin").exists()
        code = "pickle-refused" if pickled else "module-unsupported"
        message = f"{folder} has no model.safetensors"
        raise CompressError(code, message, hint="save the model with safetensors")
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        weights = load(read_bytes(path, limit=_LARGEST, code="module-unsupported"))
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a type that NumPy has not
        reason = visible(str(error).splitlines()[0])
        message = f"{path} cannot be read: {reason}"
        raise CompressError("module-unsupported", message, hint="save the model again") from None
    missing = [name for name in needed if name not in weights]
    if missing:
        message = f"{path} has no tensor '{missing[0]}'"
        raise CompressError("module-unsupported", message, hint="save the model again")
    return {name: array.astype(np.float32) for name, array in weights.items()}


_LARGEST = 2**29
"""Bytes of a module's weights: 8,192 x 8,192 numbers and some more."""
