"""The value that steps hand on: a folder of one kind. Steps never change the folder they are given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType
    from typing import Any

    import numpy as np

    from compress.core.config import Frozen
    from compress.core.layers import LayerTimes
    from compress.core.profile import Profile

    Feeds = Mapping[str, np.ndarray]
    Row = Mapping[str, Any]


class ArtifactKind(StrEnum):
    """What a folder holds, which decides the steps that may follow."""

    CHECKPOINT = "checkpoint"
    """A Hugging Face folder: config.json, *.safetensors, tokenizer or processor files."""
    QUANTIZED = "quantized"
    """A checkpoint whose matrices are codes on grids (`compress.model.quantized`)."""
    ONNX = "onnx"
    """`model.onnx` (and `model.onnx.data`), with the configs and tokenizer beside it."""
    GENAI = "genai"
    """A decoder with KV cache as ONNX Runtime GenAI reads it (`genai_config.json`)."""


GRAPH_NAME = "model.onnx"
"""The file name of the graph, where transformers.js, optimum and sentence-transformers look."""


GPTQ_FOLDER, BITSANDBYTES_FOLDER = "checkpoint", "bitsandbytes"
BESIDE = (GPTQ_FOLDER, BITSANDBYTES_FOLDER)
"""Folders with the model in forms for other programs. They go with it, whatever later steps make of it."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model on disk, in one folder, at one point of a recipe."""

    kind: ArtifactKind
    folder: Path
    task: str

    @property
    def graph(self) -> Path:
        """Where the ONNX graph is (for kind `onnx`)."""
        return self.folder / GRAPH_NAME

    def at(self, folder: Path, *, kind: ArtifactKind | None = None) -> Artifact:
        """The same model in another folder, possibly in another form."""
        return replace(self, folder=folder, kind=kind or self.kind)


class Progress(Protocol):
    """Where long work says how far it is. The command line injects bars or plain lines."""

    def track(self, title: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Open one line of progress; `total` steps are expected (None: unknown)."""

    def note(self, message: str) -> None:
        """Say one sentence that a person should read."""


class Advance(Protocol):
    """Move a line of progress on by `steps`."""

    def __call__(self, steps: int = 1) -> None:
        """Move on."""


class Calibration(Protocol):
    """Real inputs of the model, taken from the part that calibrates, ready for its ONNX inputs.

    Feeds map an input's name to an array with the batch as first axis: token ids int64 (B, T),
    pixels float32 (B, C, H, W), audio float32 (B, T) or features (B, F, T).
    """

    def feeds(self, *, items: int) -> Sequence[Feeds]:
        """At most `items` items, as batches; the same ones at every call."""

    def tokens(self, *, count: int, length: int) -> np.ndarray:
        """Running text as at most `count` windows of `length` token ids, int64 (windows, length); fewer
        where there is less text, and one shorter window where there is not enough for one.
        """

    def rows(self) -> Sequence[Row]:
        """All of them as they were read (`text`, `image` ...), for steps that prepare them themselves."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a step may use besides the artifact and its configuration."""

    folder: Path
    """An empty folder that the step fills. It copies nothing but what it changes: the pipeline
    adds the files of the previous folder that the step did not write."""
    calibration: Calibration
    profile: Profile
    progress: Progress
    seed: int = 0
    original: Artifact | None = None
    """The checkpoint that the run started from, for steps that learn from it or compare with it."""
    layers: LayerTimes | None = None
    """How long layers take on the target, for steps that are given a budget of time."""
    work: Path | None = None
    """A folder that is there again when a killed step runs once more, and gone when it has finished."""


class Pass(Protocol):
    """What every module under `compress.passes` offers. The module's place is its step's name:
    `compress/passes/quantize/dynamic.py` is `quantize.dynamic`.

    A pass that stores weights in fewer bits may also offer `storage(config)`: its `core.stored_bits.Storage`
    by group (`embedding`, `matrix`, `head`, `rest`), from which `plan` predicts sizes. One that removes
    weights may offer `remaining(config, depth)`: the share that stays of each component (`ffn`,
    `attention`). One that calibrates may offer `uncalibrated(config)`: the step that stores the same bits
    without. One that times things on this host may offer `timed(config)`: whether it does, so that its
    result is not another host's. One that fits weights to calibration rows says so by `learns(config)`:
    other rows then choose among candidates. One that keeps to a size offers `size_limit(config)`, its bytes.
    By `calibrated(config)`, `seeded(config)` and `profiled(config)` it says whether its result depends on
    the calibration rows, the seed and the profile; without these functions it is taken to. One that chooses
    bits may offer `within(config, size)`: what to change in its configuration for a model of so many bytes.
    One that walks through a model block by block says `STREAMS = True`, and runs with `core.allocator`. One
    that needs a library of an extra names it: `LIBRARY = "bitsandbytes"`.
    """

    Config: type[Frozen]
    ACCEPTS: ArtifactKind | frozenset[ArtifactKind]
    PRODUCES: ArtifactKind

    def apply(self, artifact: Artifact, config: Any, context: Context) -> Artifact:
        """Write the changed model into `context.folder` and return it; never touch the input."""


def as_pass(module: ModuleType) -> Pass:
    """See `module` as the pass it is. (A protocol's instance may be a module.)"""
    return module


class Silent:
    """A `Progress` that says nothing: for tests and for library use."""

    def track(self, title: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """Ignore the title; the returned context yields a function that does nothing."""
        from contextlib import nullcontext

        def advance(steps: int = 1) -> None:
            del steps

        del title, total
        return nullcontext(advance)

    def note(self, message: str) -> None:
        """Ignore the message."""
        del message


class Fixed:
    """A `Calibration` over feeds that are at hand: for tests and for library use."""

    def __init__(
        self,
        batches: Iterable[Feeds] = (),
        *,
        windows: np.ndarray | None = None,
        rows: Sequence[Row] = (),
    ) -> None:
        self._batches, self._windows, self._rows = list(batches), windows, rows

    def feeds(self, *, items: int) -> Sequence[Feeds]:
        """The first batches that together hold at most `items` items (at least one batch)."""
        chosen: list[Feeds] = []
        seen = 0
        for batch in self._batches:
            size = len(next(iter(batch.values())))
            if chosen and seen + size > items:
                break
            chosen.append(batch)
            seen += size
        return chosen

    def tokens(self, *, count: int, length: int) -> np.ndarray:
        """The first windows, cut at `length`."""
        if self._windows is None:
            raise ValueError("no windows were given")
        return self._windows[:count, :length]

    def rows(self) -> Sequence[Row]:
        """The rows that were given."""
        return self._rows
