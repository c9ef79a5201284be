"""What pruning broke is learned again from the original: on unlabelled rows, within a given time.

The loss and its sources are in `compress.model.healing.losses`, the training in `.loop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field

from compress.core.artifact import Artifact, ArtifactKind, Context
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.paths import contained
from compress.core.sentence import module_kind
from compress.model.healing.batches import Batch, batch_of, divided
from compress.model.healing.head import Heads, find_head
from compress.model.healing.loop import Healer, Schedule, take_fastest
from compress.model.healing.losses import Losses
from compress.model.healing.teacher import Teacher
from compress.model.healing.weights import write_trained
from compress.model.inputs import inputs_of
from compress.model.load import load_module
from compress.passes.healing import CAUSAL, WIDE, Texts, labels_of, shared_vocabulary
from compress.runtime.files import read_modules, read_settings
from compress.runtime.pooling import pooling_modes
from compress.runtime.schemas import PoolingConfig
from compress.runtime.text import default_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compress.model.healing.state import Run

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT

_MEDIA_ITEMS = 2048
"""Pictures or sounds at most: unlike texts they are prepared once and kept."""
_WITHOUT_STATES = ("feature-extraction", CAUSAL)
"""Tasks whose hidden states are not compared beside what is made of them. With those of a language model as a
fifth of the loss, SmolLM2-135M less a quarter of its FFN width was at 2.856 nats a token after 80 steps, with
the next token's probabilities alone at 2.844 (2.887 before, 2.716 the whole model; one seed).
"""
_SMALL = 50_000_000
"""Parameters up to which a model takes a high learning rate well."""


class Config(Frozen):
    """How long, and how.

    minutes: of training; the learning rate falls to zero within them.
    steps: instead, so many steps: the same weights at every run.
    learning_rate: None is 3e-4, and 1e-4 for models of more than 50 million parameters.
    batch: items at once; None is 48, and for language models as many as have 640 tokens together.
    length: tokens of a text at most (longer ones are cut in several); None is 64, and 256 for language
        models.
    """

    minutes: float = Field(default=5.0, gt=0)
    steps: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    batch: int | None = Field(default=None, ge=2)
    length: int | None = Field(default=None, ge=8)


def learns(config: Config) -> bool:
    """Whether weights are fitted to calibration rows."""
    del config
    return True


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return True


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return True


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Heal; see the module.

    Raises:
        CompressError: there is no original or no data to learn from, or the models cannot be run.
    """
    if context.original is None:
        raise CompressError("original-missing", "there is no original to learn from", hint="report this")
    torch.manual_seed(context.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = load_module(artifact.folder, artifact.task).to(device)
    teacher = load_module(context.original.folder, artifact.task).to(device)
    for module in (student, teacher):
        module.config.use_cache = False
    batches = [one.to(device) for one in _batches(artifact, student, config, context)]
    healer = _healer(artifact, config, context, student, teacher, batches)
    run = _train(healer, context)
    run.best.clear()
    del healer, teacher, module  # writing takes memory too
    write_trained(student, artifact.folder, context.folder)
    context.progress.note(_told(run, sum(len(_first(one)) for one in batches)))
    return artifact.at(context.folder)


def _train(healer: Healer, context: Context) -> Run:
    schedule = healer.schedule
    total = schedule.steps if schedule.steps is not None else int(schedule.seconds or 0)
    with context.progress.track("heal", total=total) as advance:
        return healer.heal(advance)


def _healer(
    artifact: Artifact,
    config: Config,
    context: Context,
    student: torch.nn.Module,
    teacher: torch.nn.Module,
    batches: Sequence[Batch],
) -> Healer:
    pooling = _pooling(artifact)
    held_out, batches = divided(batches, long=artifact.task in WIDE)
    if not batches:
        message = "there are too few rows to learn from: not two batches"
        raise CompressError("data-too-small", message, hint="give more text with --calibration")
    states = artifact.task not in _WITHOUT_STATES
    small = sum(one.numel() for one in student.parameters()) <= _SMALL
    losses = _losses(artifact, context, student, teacher, batches[0])
    head = None if losses.heads is None else losses.heads.teacher
    healer = Healer(
        student=student,
        teacher=Teacher(
            teacher, batches=len(batches) + len(held_out), pooling=pooling, states=states, head=head
        ),
        losses=losses,
        batches=batches,
        held_out=held_out,
        schedule=Schedule(
            seconds=config.minutes * 60,
            steps=config.steps,
            learning_rate=config.learning_rate or (3e-4 if small else 1e-4),
            seed=context.seed,
        ),
        pooling=pooling,
        states=states,
        work=context.work,
    )
    if config.steps is None:
        take_fastest(healer)
    return healer


def _losses(
    artifact: Artifact,
    context: Context,
    student: torch.nn.Module,
    teacher: torch.nn.Module,
    batch: Batch,
) -> Losses:
    """With heads apart where both are language models that allow it."""
    vocabulary, causal = shared_vocabulary(artifact, context), artifact.task == CAUSAL
    if artifact.task not in WIDE:
        return Losses(vocabulary)
    few = batch.rows(slice(1))
    ours, theirs = find_head(student, few.student), find_head(teacher, few.teacher)
    if ours is None or theirs is None:
        return Losses(vocabulary, causal=causal)
    return Losses(vocabulary, Heads(ours, theirs, vocabulary), causal=causal)


def _pooling(artifact: Artifact) -> tuple[str, ...]:
    """The modes of the Pooling module; none where hidden states are used as they come.

    Raises:
        CompressError: it leaves the tokens of a prompt out, which the loss would count.
    """
    for entry in read_modules(artifact.folder):
        if module_kind(entry.type) == "Pooling":
            settings = read_settings(contained(artifact.folder, entry.path) / "config.json", PoolingConfig)
            if settings.get("include_prompt") is False and default_prompt(artifact.folder):
                message = "the model leaves its prompt out of its embeddings (include_prompt is false)"
                hint = "healing does not support that; choose a recipe without heal"
                raise CompressError("module-unsupported", message, hint=hint)
            return pooling_modes(settings)
    return ()


def _batches(artifact: Artifact, student: torch.nn.Module, config: Config, context: Context) -> list[Batch]:
    inputs = inputs_of(student, artifact.folder)
    if "input_ids" in inputs.names:
        return Texts(artifact, inputs.names, context, config.batch, config.length).batches()
    feeds = context.calibration.feeds(items=_MEDIA_ITEMS)
    rows = context.calibration.rows()
    found, start = [], 0
    for one in feeds:
        size = len(next(iter(one.values())))
        found.append(batch_of(one, labels=labels_of(rows[start : start + size])))
        start += size
    return found


def _first(batch: Batch) -> torch.Tensor:
    return next(iter(batch.student.values()))


def _told(run: Run, items: int) -> str:
    before, after = run.curve[0][1], run.least
    curve = ", ".join(f"{loss:.3g} at {seconds / 60:.1f}" for seconds, loss in run.curve)
    return (
        f"healed for {run.seconds / 60:.1f} min, {run.step:,} steps over {items:,} items: loss on held-out "
        f"items {before:.3g} -> {after:.3g} (by minutes: {curve})"
    )
