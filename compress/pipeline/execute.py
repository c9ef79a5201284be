"""Apply the steps of a recipe, each once: in a process of its own, or from the cache."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from compress.core.artifact import BESIDE, GRAPH_NAME, Artifact, ArtifactKind
from compress.core.cached import take
from compress.core.copies import add_missing, clone_or_copy, link_or_copy
from compress.core.errors import CompressError, InternalError
from compress.core.litter import WORK
from compress.core.seal import is_resumable, seal_path
from compress.graph.io import graph_bytes
from compress.measure.host import detect_host
from compress.model.safety import checkpoint_bytes
from compress.model.sidecars import inherit_checkpoint
from compress.pipeline.cache import step_key
from compress.pipeline.messages import StepReply, StepRequest, place
from compress.pipeline.space import refuse_step
from compress.pipeline.step_process import run_child
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compress.core.artifact import Progress
    from compress.core.locks import Hold
    from compress.core.profile import Profile
    from compress.core.recipe import Recipe, Step
    from compress.pipeline.messages import Spec
    from compress.pipeline.steps import BoundStep

NOTHING_TO_DO = "nothing-to-quantize"
"""The error's code by which a step says that this model has nothing for it."""

STEP_FACTS = "step.json"
"""Seconds and peak memory of the step that made a folder. Not published."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one step made, and what it cost when it ran (perhaps in an earlier run)."""

    step: Step
    artifact: Artifact
    seconds: float
    cpu_seconds: float | None
    peak_rss_bytes: int
    notes: tuple[str, ...] = ()
    """What the step said about what it did."""
    hold: Hold | None = field(default=None, repr=False, compare=False)
    """Keeps `compress cache clean` from removing the artifact as long as this value is there."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights: of the graph and its tensors, or of the checkpoint's files."""
        if self.artifact.kind is ArtifactKind.CHECKPOINT:
            return checkpoint_bytes(self.artifact.folder)
        if self.artifact.kind is ArtifactKind.QUANTIZED:
            return sum(path.stat().st_size for path in self.artifact.folder.glob("*.safetensors"))
        return graph_bytes(self.artifact.graph)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A step that found nothing to do, and what it missed."""

    step: Step
    why: str


@dataclass(frozen=True)
class Applied:
    """What became of a recipe's steps."""

    made: tuple[Made, ...]
    dropped: tuple[Dropped, ...] = ()


@dataclass(kw_only=True)
class Executor:
    """Applies steps; `steps` is the cache's folder for their results.

    `rows` is a JSON-lines file of calibration rows and `rows_digest` its name in cache keys.
    `inputs` are the graph's inputs, known once the base was exported, and `processor` the folder
    whose tokenizer or processor prepares rows for models that bring none of their own.
    """

    steps: Path
    rows: Path
    rows_digest: str
    profile: Profile
    progress: Progress
    seed: int
    processor: Path
    inputs: tuple[Spec, ...] = ()
    _made: dict[str, Made] = field(default_factory=dict)

    def apply(self, recipe: Recipe, source: Artifact, *, digest: str) -> Applied:
        """Apply a recipe's steps in order to `source`, whose bytes have `digest`.

        A step that finds nothing to do in this model (a convolutional network has no embeddings) is
        dropped, and the next goes on from what was there.

        Raises:
            CompressError: as the failing step raised it, or no step but the export found anything to do.
        """
        original = source
        made: list[Made] = []
        dropped: list[Dropped] = []
        for number, step in enumerate(recipe.steps):
            key = self._key(digest, step)
            refuse = partial(refuse_step, self.steps, recipe, number, source, original)
            try:
                made.append(self._once(step, source, key, original=original, refuse=refuse))
            except CompressError as error:
                if error.code != NOTHING_TO_DO:
                    raise
                dropped.append(Dropped(step=step, why=error.message))
                continue
            digest, source = key, made[-1].artifact
        if dropped and all(one.step.name.startswith("export.") for one in made):
            raise CompressError(NOTHING_TO_DO, dropped[0].why, hint="choose another recipe")
        return Applied(tuple(made), tuple(dropped))

    def _key(self, parent: str, step: Step) -> str:
        """Name a step's result by all that it follows from, and by nothing else."""
        bound = bind(step)
        inputs = {}
        if _depends(bound, "calibrated"):
            inputs["rows"] = self.rows_digest
        if _depends(bound, "seeded"):
            inputs["seed"] = str(self.seed)
        if _depends(bound, "profiled"):
            inputs["profile"] = self.profile.model_dump_json()
        if _depends(bound, "timed", default=False):  # a cache may be shared between machines
            inputs["host"] = json.dumps(asdict(detect_host()), sort_keys=True)
        config = bound.config.model_dump(mode="json")  # defaults and what is written out are the same
        return step_key(parent, step=step.name, config=config, inputs=inputs)

    def _once(
        self, step: Step, source: Artifact, key: str, *, original: Artifact, refuse: Callable[[], None]
    ) -> Made:
        """What a step makes, from this run, from the cache, or now. Each folder is verified once a run, and
        what is made is preceded by `refuse`, which looks for room.
        """
        if key not in self._made:
            folder, work = self.steps / key, self._work(key)

            def make(beside: Path, lock: int) -> None:
                self._discard_damaged(work, step)
                refuse()
                reply = self._run(step, source, beside, work=work, original=original, lock=lock)
                _inherit(source, reply, beside)
                (beside / STEP_FACTS).write_text(reply.model_dump_json(), encoding="utf8")

            hold = take(
                folder,
                make,
                name=f"step '{step.name}'",
                note=self.progress.note,
                finish=lambda: shutil.rmtree(work, ignore_errors=True),
            )
            self._made[key] = _read_made(step, folder, hold)
        return replace(self._made[key], step=step)

    def _discard_damaged(self, work: Path, step: Step) -> None:
        """Remove what a killed run left of a step, unless every file is as it was written."""
        if work.exists() and not is_resumable(work):
            self.progress.note(f"what was finished of step '{step.name}' is damaged: it begins again")
            shutil.rmtree(work)

    def _work(self, key: str) -> Path:
        """Where a step keeps what it has finished, by the step's key: a killed run's is found again."""
        return self.steps / f"{key}{WORK}"

    def _processor(self, source: Artifact) -> Path:
        """Whose tokenizer prepares a step's calibration rows: that of the model it gets, which an earlier
        step may have changed. (A checkpoint as it came may not have a tokenizer.json: the export made it.)
        """
        return source.folder if (source.folder / "tokenizer.json").exists() else self.processor

    def _run(
        self, step: Step, source: Artifact, folder: Path, *, work: Path, original: Artifact, lock: int
    ) -> StepReply:
        """Run a step in a process that keeps the lock of its folders even if this one is killed."""
        request = StepRequest(
            step=step,
            source=place(source),
            original=place(original),
            folder=folder,
            work=work,
            rows=self.rows,
            processor=self._processor(source),
            inputs=self.inputs,
            profile=self.profile,
            seed=self.seed,
        )
        reply = run_child(request, self.progress, inherited=(lock,))
        if reply.error:
            raise reply.error.error()
        return reply


def _depends(step: BoundStep, name: str, *, default: bool = True) -> bool:
    """Whether a step's result depends on what its function `name` answers for: `default` without one."""
    answer = getattr(step.implementation, name, None)
    return default if answer is None else bool(answer(step.config))


def _inherit(source: Artifact, reply: StepReply, folder: Path) -> None:
    """Add what a step left as it was. A step that makes another kind of model wrote all that it needs but
    what stands beside the model; a graph is replaced whole, so that an old tensor file never stays beside
    a new graph. Files of the user are copied, since an edit of one must not change a finished step, and what
    stands beside the user's model was not made by a step.
    """
    made_here = seal_path(source.folder).exists()
    add = link_or_copy if made_here else clone_or_copy
    for name in BESIDE if made_here else ():
        if (source.folder / name).is_dir():
            add_missing(source.folder / name, folder / name, add=add)
    if reply.result is None or reply.result.kind is not source.kind:
        return
    if source.kind is ArtifactKind.CHECKPOINT:
        inherit_checkpoint(source.folder, folder, skip=[STEP_FACTS], add=add)
        return
    graphs = [path.name for path in source.folder.glob(f"{GRAPH_NAME}*")]
    rewritten = any(folder.glob(f"{GRAPH_NAME}*"))
    add_missing(source.folder, folder, skip=[STEP_FACTS, *(graphs if rewritten else [])], add=add)


def _read_made(step: Step, folder: Path, hold: Hold) -> Made:
    reply = StepReply.model_validate_json((folder / STEP_FACTS).read_text(encoding="utf8"))
    if reply.result is None:
        raise InternalError("step-lost", f"{folder} holds no result", hint="run `compress cache clean`")
    return Made(
        step=step,
        artifact=reply.result.artifact().at(folder),
        seconds=reply.seconds,
        cpu_seconds=reply.cpu_seconds,
        peak_rss_bytes=reply.peak_rss_bytes,
        notes=reply.notes,
        hold=hold,
    )
