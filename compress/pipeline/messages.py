"""What the pipeline and the process of a step say to each other: JSON, a line a message."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from compress.core.artifact import Artifact, ArtifactKind
from compress.core.config import Frozen
from compress.core.errors import CompressError, InternalError
from compress.core.profile import Profile
from compress.core.recipe import Step
from compress.graph.session import TensorSpec


class Place(Frozen):
    """An `Artifact`, written down."""

    kind: ArtifactKind
    folder: Path
    task: str

    def artifact(self) -> Artifact:
        """The value again."""
        return Artifact(kind=self.kind, folder=self.folder, task=self.task)


def place(artifact: Artifact) -> Place:
    """Write an artifact down."""
    return Place(kind=artifact.kind, folder=artifact.folder, task=artifact.task)


class Spec(Frozen):
    """A `TensorSpec`, written down."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    def tensor(self) -> TensorSpec:
        """The value again."""
        return TensorSpec(self.name, self.dtype, self.shape)


class StepRequest(Frozen):
    """Apply one step to an artifact in `folder`; `rows` is a JSON-lines file of calibration rows,
    `processor` the folder whose tokenizer or processor turns them into `inputs`. What the step keeps
    in `work` is there again if it is killed and runs once more; `original` is what the recipe started from.
    """

    step: Step
    source: Place
    original: Place
    folder: Path
    work: Path
    rows: Path
    processor: Path
    inputs: tuple[Spec, ...]
    profile: Profile
    seed: int


class StepReply(Frozen):
    """What became of a step. `peak_rss_bytes` is of the step's own process, `cpu_seconds` of it and the
    processes it started, `notes` is what it said.
    """

    result: Place | None = None
    seconds: float = 0.0
    cpu_seconds: float | None = None
    peak_rss_bytes: int = 0
    notes: tuple[str, ...] = ()
    error: Failure | None = None


class Failure(Frozen):
    """A `CompressError`, written down."""

    kind: Literal["CompressError", "InternalError"]
    code: str
    message: str
    hint: str

    def error(self) -> CompressError:
        """The error again."""
        kind = InternalError if self.kind == "InternalError" else CompressError
        return kind(self.code, self.message, hint=self.hint)


class Note(Frozen):
    """Progress inside a step: a line that opens with `title`, moves on by `steps`, or says `text`."""

    event: Literal["open", "advance", "close", "note"]
    title: str = ""
    total: int | None = None
    steps: int = 0


def failure(error: CompressError) -> Failure:
    """Write an error down."""
    kind: Literal["CompressError", "InternalError"] = "CompressError"
    if isinstance(error, InternalError):
        kind = "InternalError"
    return Failure(kind=kind, code=error.code, message=error.message, hint=error.hint)
