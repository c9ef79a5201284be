"""What pruning broke is learned again from the original: on unlabelled rows, within a given time.

The loss and its sources are in `compress.model.healing.losses`, the training in `.loop`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from pydantic import Field

from compress.core.artifact import Artifact, ArtifactKind, Context
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.paths import contained
from compress.data.chunks import chunks
from compress.graph.session import TensorSpec
from compress.model.healing.batches import Batch, batch_of, by_length, by_tokens, divided, same_places
from compress.model.healing.head import Heads, find_head
from compress.model.healing.loop import Healer, Schedule, take_fastest
from compress.model.healing.losses import Losses
from compress.model.healing.lost_words import pools, replaced
from compress.model.healing.teacher import Teacher
from compress.model.healing.tokens import Shared, first_pieces, same_readings, shared
from compress.model.healing.weights import write_trained
from compress.model.inputs import inputs_of
from compress.model.load import load_module
from compress.model.vocabulary.expected import likely
from compress.runtime.files import read_json, read_settings, same_tokenizer
from compress.runtime.pooling import pooling_modes
from compress.runtime.text import TextPreprocessor, load_text, load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.core.artifact import Row
    from compress.model.healing.state import Run

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT

_MEDIA_ITEMS = 2048
"""Pictures or sounds at most: unlike texts they are prepared once and kept."""
_CAUSAL = "text-generation"
_WIDE = (_CAUSAL, "fill-mask")
_STEP_TOKENS = 640
"""Of a language model, about how many a step learns from."""
_SPELLED_ROWS = 0.33
"""Copies of texts with words that a cut vocabulary has to spell, as a share of all texts."""
_SPELLED = 0.2
"""Share of the words of those that are replaced."""
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
    held_out, batches = divided(batches, long=artifact.task in _WIDE)
    if not batches:
        message = "there are too few rows to learn from: not two batches"
        raise CompressError("data-too-small", message, hint="give more text with --calibration")
    pooling = _pooling(artifact)
    states = artifact.task != "feature-extraction"
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
    vocabulary, causal = _shared_vocabulary(artifact, context), artifact.task == _CAUSAL
    if artifact.task not in _WIDE:
        return Losses(vocabulary)
    few = batch.rows(slice(1))
    ours, theirs = find_head(student, few.student), find_head(teacher, few.teacher)
    if ours is None or theirs is None:
        return Losses(vocabulary, causal=causal)
    return Losses(vocabulary, Heads(ours, theirs, vocabulary), causal=causal)


def _pooling(artifact: Artifact) -> tuple[str, ...]:
    """The modes of the Pooling module; none where hidden states are used as they come."""
    entries = read_json(artifact.folder / "modules.json") or []
    for entry in entries:
        if str(entry["type"]).endswith(".Pooling"):
            folder = contained(artifact.folder, entry.get("path") or "")
            return pooling_modes(read_settings(folder / "config.json"))
    return ()


def _batches(artifact: Artifact, student: torch.nn.Module, config: Config, context: Context) -> list[Batch]:
    inputs = inputs_of(student, artifact.folder)
    if "input_ids" in inputs.names:
        return _Texts(artifact, inputs.names, config, context).batches()
    feeds = context.calibration.feeds(items=_MEDIA_ITEMS)
    rows = context.calibration.rows()
    found, start = [], 0
    for one in feeds:
        size = len(next(iter(one.values())))
        found.append(batch_of(one, labels=_labels(rows[start : start + size])))
        start += size
    return found


def _labels(rows: Sequence[Row]) -> list[int] | None:
    labels = [row.get("label") for row in rows]
    known = bool(labels) and all(isinstance(one, int) for one in labels)
    return cast("list[int]", labels) if known else None


@dataclass(frozen=True)
class _Texts:
    """Rows of text for a student and its teacher, each with a tokenizer of its own."""

    artifact: Artifact
    names: tuple[str, ...]
    config: Config
    context: Context

    def batches(self) -> list[Batch]:
        """All rows as batches, the longest texts cut in several."""
        original = cast("Artifact", self.context.original)
        own = self._preprocessor(self.artifact.folder)
        same = same_tokenizer(self.artifact.folder, original.folder)
        other = own if same else self._preprocessor(original.folder)
        rows = self._rows(own)
        if not same and self.artifact.task == _CAUSAL:
            rows += self._spelled(rows, own, other)
        lengths = [len(one) for one in own.encodings(rows)]
        parts = [[rows[at] for at in group] for group in self._groups(lengths)]
        return [self._batch(part, own, None if same else other) for part in parts]

    def _groups(self, lengths: Sequence[int]) -> list[list[int]]:
        if self.config.batch is None and self.artifact.task in _WIDE:
            return by_tokens(lengths, _STEP_TOKENS, seed=self.context.seed)
        groups = by_length(lengths, self.config.batch or 48, seed=self.context.seed)
        return [group for group in groups if len(group) > 1]

    def _batch(self, rows: Sequence[Row], own: TextPreprocessor, other: TextPreprocessor | None) -> Batch:
        ours = own.encodings(rows)
        feeds, labels = own.batch(ours), self._classes(rows)
        if other is None:
            return batch_of(feeds, labels=labels)
        theirs = other.encodings(rows)
        given = other.batch(theirs)
        widths = {"student": feeds["input_ids"].shape[1], "teacher": given["input_ids"].shape[1]}
        left = widths if own.settings.pad_left else {}
        same = same_readings if self.artifact.task == _CAUSAL else same_places
        places = same(ours, theirs, width=widths["student"], left=left)
        return batch_of(feeds, given, places=places, labels=labels)

    def _spelled(self, rows: Sequence[Row], own: TextPreprocessor, other: TextPreprocessor) -> list[Row]:
        """Copies of some rows, with words that the student spells in the place of others."""
        texts = [str(row["text"]) for row in rows if set(row) == {"text"}]
        encodings = other.encodings([{"text": text} for text in texts])
        counts = Counter(number for one in encodings for number in one.ids)
        document = json.loads(other.tokenizer.to_str())
        kept = own.tokenizer.get_vocab()
        likelihoods = zip(*(one.tolist() for one in likely(document, counts)), strict=True)
        known = other.tokenizer
        lost = {number: share for number, share in likelihoods if known.id_to_token(number) not in kept}
        choices, random = pools(known, lost), np.random.default_rng(self.context.seed)
        count = int(_SPELLED_ROWS * len(texts)) if choices else 0
        chosen = random.choice(len(texts), count, replace=False).tolist() if count else []
        return [
            {"text": replaced(texts[at], encodings[at], choices, share=_SPELLED, random=random)}
            for at in chosen
        ]

    def _classes(self, rows: Sequence[Row]) -> list[int] | None:
        return _labels(rows) if self.artifact.task == "text-classification" else None

    def _preprocessor(self, folder: Path) -> TextPreprocessor:
        specs = [TensorSpec(name, "int64", (None, None)) for name in self.names]
        text = load_text(folder, task=self.artifact.task, inputs=specs)
        if self.artifact.task != "question-answering":  # whose windows hold a question and a context
            text.tokenizer.enable_truncation(min(self._length, text.max_length), strategy="longest_first")
        return text

    @property
    def _length(self) -> int:
        return self.config.length or (256 if self.artifact.task in _WIDE else 64)

    def _rows(self, own: TextPreprocessor) -> list[Row]:
        """The calibration rows; a text by itself that is longer than a batch takes is several."""
        rows: list[Row] = []
        for row in self.context.calibration.rows():
            if set(row) == {"text"}:
                rows += [{"text": part} for part in chunks(str(row["text"]), own.tokenizer)]
            else:
                rows.append(row)
        return rows


def _shared_vocabulary(artifact: Artifact, context: Context) -> Shared | None:
    """The tokens that both have; None where they have the same."""
    original = cast("Artifact", context.original)
    if artifact.task not in _WIDE or same_tokenizer(artifact.folder, original.folder):
        return None
    own, other = load_tokenizer(artifact.folder), load_tokenizer(original.folder)
    known = other.get_vocab()
    size = int(load_size(artifact.folder))
    found = torch.full((size,), -1, dtype=torch.int64)
    for piece, number in own.get_vocab().items():
        found[number] = known.get(piece, -1)
    return shared(found, first_pieces(own, other) if artifact.task == _CAUSAL else None)


def load_size(folder: Path) -> int:
    """The vocabulary's size in config.json."""
    config: dict[str, Any] = read_settings(folder / "config.json")
    return int(config.get("vocab_size") or (config.get("text_config") or {})["vocab_size"])


def _first(batch: Batch) -> torch.Tensor:
    return next(iter(batch.student.values()))


def _told(run: Run, items: int) -> str:
    before, after = run.curve[0][1], run.least
    curve = ", ".join(f"{loss:.3g} at {seconds / 60:.1f}" for seconds, loss in run.curve)
    return (
        f"healed for {run.seconds / 60:.1f} min, {run.step:,} steps over {items:,} items: loss on held-out "
        f"items {before:.3g} -> {after:.3g} (by minutes: {curve})"
    )
