"""From rows of data to the arrays that a graph takes, with neither torch nor transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from compress.graph.session import TensorSpec

    Row = Mapping[str, Any]


class Preprocessor(Protocol):
    """What one kind of input asks for before it reaches the graph."""

    modality: str
    """`text`, `image` or `audio`."""
    mixed_lengths: bool
    """Whether rows of different lengths may share a batch without changing each other's result."""

    def feeds(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """One batch, padded to its longest row, by the names of the graph's inputs."""

    def synthetic(self, *, batch: int, length: int) -> dict[str, np.ndarray]:
        """A batch of exactly that shape for timing: valid values, no padding. `length` counts tokens,
        of sound frames of 20 ms, and is ignored where the processor sets the size of an input.
        """


def load_preprocessor(folder: Path, *, task: str, inputs: Sequence[TensorSpec]) -> Preprocessor:
    """The preprocessor of the model in `folder`, for a graph that takes `inputs`.

    Raises:
        CompressError: its tokenizer or processor is missing, damaged or of an unsupported kind, or
            the graph has an input that nothing here can fill.
    """
    names = {spec.name for spec in inputs}
    if "input_ids" in names and "pixel_values" not in names:
        from compress.runtime.text import load_text

        return load_text(folder, task=task, inputs=inputs)
    if names == {"pixel_values"}:
        from compress.runtime.images import load_images

        return load_images(folder, inputs=inputs)
    if names & {"input_values", "input_features"}:
        from compress.runtime.audio import load_audio

        return load_audio(folder, inputs=inputs)
    found = ", ".join(sorted(names))
    message = f"no preprocessing for a graph with the inputs {found}"
    raise CompressError("input-unsupported", message, hint="export one encoder: text, image or audio")


def refuse_unknown(inputs: Sequence[TensorSpec], known: set[str]) -> None:
    """Refuse a graph with an input that a preprocessor does not fill.

    Raises:
        CompressError: naming the first such input.
    """
    for spec in inputs:
        if spec.name not in known:
            message = f"the graph has an input '{spec.name}', which cannot be filled"
            hint = f"inputs that can be: {', '.join(sorted(known))}"
            raise CompressError("input-unsupported", message, hint=hint)
