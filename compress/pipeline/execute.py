"""Apply the steps of a recipe, each once: in a process of its own, or from the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from compress.core.allocator import with_tuned_allocator
from compress.core.artifact import BESIDE, GRAPH_NAME, Artifact, ArtifactKind
from compress.core.errors import CompressError, InternalError
from compress.core.paths import link_missing, published
from compress.graph.io import graph_bytes
from compress.measure.host import detect_host
from compress.model.safety import checkpoint_bytes
from compress.model.sidecars import inherit_checkpoint
from compress.pipeline.cache import step_key
from compress.pipeline.messages import Note, StepReply, StepRequest, place
from compress.pipeline.steps import bind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from compress.core.artifact import Progress
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
    _chain: dict[Path, str] = field(default_factory=dict)

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
        for step in recipe.steps:
            key = self._key(digest, step)
            try:
                made.append(self._once(step, source, key, original=original))
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
        bound = bind(step)
        calibrated = _is_calibrated(bound)
        inputs = {"seed": str(self.seed), "profile": self.profile.model_dump_json()}
        if calibrated:
            inputs["rows"] = self.rows_digest
        config = bound.config.model_dump(mode="json")  # defaults and what is written out are the same
        timed = getattr(bound.implementation, "timed", None)
        if timed is not None and timed(bound.config):  # a cache may be shared between machines
            inputs["host"] = json.dumps(asdict(detect_host()), sort_keys=True)
        return step_key(parent, step=step.name, config=config, inputs=inputs)

    def _once(self, step: Step, source: Artifact, key: str, *, original: Artifact) -> Made:
        folder = self.steps / key
        if not (folder / STEP_FACTS).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with published(folder) as beside:
                reply = self._run(step, source, beside, work=self._work(key), original=original)
                _inherit(source, reply, beside)
                (beside / STEP_FACTS).write_text(reply.model_dump_json(), encoding="utf8")
            shutil.rmtree(self._work(key), ignore_errors=True)
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
        )

    def _work(self, key: str) -> Path:
        """Where a step keeps what it has finished, by the step's key: a killed run's is found again."""
        return self.steps / f"{key}.work"

    def _processor(self, source: Artifact) -> Path:
        """Whose tokenizer prepares a step's calibration rows: that of the model it gets, which an earlier
        step may have changed. (A checkpoint as it came may not have a tokenizer.json: the export made it.)
        """
        return source.folder if (source.folder / "tokenizer.json").exists() else self.processor

    def _run(
        self, step: Step, source: Artifact, folder: Path, *, work: Path, original: Artifact
    ) -> StepReply:
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
        reply = run_child(request, self.progress)
        if reply.error:
            raise reply.error.error()
        return reply


def _is_calibrated(step: BoundStep) -> bool:
    """Whether the calibration rows are among what a step's result follows from."""
    says = getattr(step.implementation, "calibrated", None)
    return bool(says(step.config)) if says else not step.name.startswith("export.")


def _inherit(source: Artifact, reply: StepReply, folder: Path) -> None:
    """Add what a step left as it was. A step that makes another kind of model wrote all that it needs but
    what stands beside the model; a graph is replaced whole, so that an old tensor file never stays beside
    a new graph.
    """
    for name in BESIDE:
        if (source.folder / name).is_dir():
            link_missing(source.folder / name, folder / name)
    if reply.result is None or reply.result.kind is not source.kind:
        return
    if source.kind is ArtifactKind.CHECKPOINT:
        inherit_checkpoint(source.folder, folder, skip=[STEP_FACTS])
        return
    graphs = [path.name for path in source.folder.glob(f"{GRAPH_NAME}*")]
    rewritten = any(folder.glob(f"{GRAPH_NAME}*"))
    link_missing(source.folder, folder, skip=[STEP_FACTS, *(graphs if rewritten else [])])


def run_child(request: StepRequest, progress: Progress) -> StepReply:
    """Run one step in a new process and relay its progress.

    Raises:
        InternalError: the process died without a reply; the last line it wrote is in the message.
    """
    # -P: a module in the working folder must not stand in for one that is installed.
    command = [sys.executable, "-P", "-m", "compress.pipeline.child"]
    environment = environment_of(request.step, os.environ)
    pipe = subprocess.PIPE
    options: Any = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "text": True, "encoding": "utf8"}
    with (
        subprocess.Popen(command, env=environment, **options) as child,
        ExitStack() as cleanup,
    ):
        cleanup.callback(child.kill)
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        complaints = _drained(child.stderr)
        child.stdin.write(request.model_dump_json())
        child.stdin.close()
        reply = _relay(child.stdout, progress, title=f"start {request.step.name}")
        child.wait()
    if reply is None:
        raise _died(request.step, child.returncode, complaints())
    return reply


def environment_of(step: Step, environment: Mapping[str, str]) -> Mapping[str, str]:
    """What the process of a step finds in the environment: with `core.allocator` where the step streams."""
    streams = getattr(bind(step).implementation, "STREAMS", False)
    return with_tuned_allocator(environment) if streams else environment


def _drained(stream: IO[str]) -> Any:
    """Read a stream in a thread, so that a full pipe never blocks the child; call for its lines."""
    from threading import Thread

    lines: list[str] = []
    thread = Thread(target=lines.extend, args=(stream,), daemon=True)
    thread.start()

    def collected() -> Sequence[str]:
        thread.join(timeout=5)
        return lines

    return collected


def _relay(stream: IO[str], progress: Progress, *, title: str) -> StepReply | None:
    with ExitStack() as lines, ExitStack() as start:
        # A process that imports torch says nothing for some seconds.
        start.enter_context(progress.track(title))
        advance = None
        for line in stream:
            start.close()
            message = json.loads(line)
            if "reply" in message:
                return StepReply.model_validate(message["reply"])
            note = Note.model_validate(message["note"])
            if note.event == "open":
                advance = lines.enter_context(progress.track(note.title, note.total))
            elif note.event == "close":
                lines.pop_all().close()
            elif note.event == "advance" and advance is not None:
                advance(note.steps)
            elif note.event == "note":
                progress.note(note.title)
    return None


def _died(step: Step, code: int, complaints: Sequence[str]) -> CompressError:
    last = next((line.strip() for line in reversed(complaints) if line.strip()), "no message")
    if code == -9:
        message = f"step '{step.name}' was killed, most likely for want of memory"
        return CompressError("out-of-memory", message, hint="free some memory, or use a smaller model")
    return InternalError("step-died", f"step '{step.name}' died ({code}): {last}", hint="see --debug")
