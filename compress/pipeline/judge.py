"""Accuracy of artifacts on the splits of the user's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.core.allowance import allows_all
from compress.core.artifact import Artifact, ArtifactKind
from compress.core.errors import CompressError
from compress.core.profile import ModelKind
from compress.core.recipe import Recipe
from compress.data.split import split
from compress.data.unlabelled import load_unlabelled
from compress.graph.session import open_runner
from compress.measure.catalogue import choose_metric
from compress.measure.evaluate import evaluate
from compress.measure.label_check import chance_note, refuse_chance, refuse_doubtful
from compress.measure.metric import Tools
from compress.pipeline.contenders import RESULT
from compress.pipeline.data import data_notes, label_options, read_items
from compress.pipeline.predict import kept_tokens
from compress.runtime.conversations import ConversationWriter
from compress.runtime.files import same_tokenizer
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Progress
    from compress.core.report import Accuracy
    from compress.data.items import Items
    from compress.data.unlabelled import Unlabelled
    from compress.graph.session import Runner
    from compress.measure.evaluate import Scores
    from compress.measure.metric import Metric
    from compress.pipeline.contenders import Candidate
    from compress.pipeline.plan import Plan
    from compress.runtime.preprocess import Preprocessor

_MODALITY = {ModelKind.VISION: "image", ModelKind.CONVNET: "image", ModelKind.AUDIO: "audio"}


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The user's data in two disjoint parts. Candidates are made and chosen with the first; the second
    is looked at once, for what the report says and the gate decides.
    """

    items: Items
    calibration: Items
    test: Items
    metric: Metric
    unlabelled: Unlabelled | None = None
    """What steps calibrate on instead, where the user gave something for it."""

    def calibration_rows(self, task: str) -> list[dict[str, Any]]:
        """Rows that steps calibrate on. Embedders of pairs see each text by itself."""
        if self.unlabelled is not None:
            return [dict(row) for row in self.unlabelled.rows]
        rows = [dict(row) for row in self.calibration.rows]
        if task != "feature-extraction":
            return rows
        seconds = [{"text": row.pop("text_pair")} for row in rows if "text_pair" in row]
        return rows + seconds


def kept_by_recipe(plan: Plan, *, note: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """By recipe, what its own vocabulary leaves of each tensor. Data is read where it is named, so that what
    `run` would refuse of it is refused here, and where a recipe cuts a vocabulary.

    Raises:
        CompressError: the data is missing or does not fit, or the vocabulary cannot be cut.
    """
    cutting = [one for one in plan.recipes if any(step.name == "prune.vocabulary" for step in one.steps)]
    if not cutting and plan.settings.values.data is None:
        return {}
    rows, model = prepare_items(plan, note=note).calibration_rows(plan.model.task), plan.model
    source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=model.folder, task=model.task)
    return {one.name: kept_tokens(one, source, rows) for one in cutting}


def prepare_items(plan: Plan, *, note: Callable[[str], None]) -> Splits:
    """Read the data, say which columns were taken, and split it.

    Raises:
        CompressError: the data is missing, empty or does not fit the task; the metric is unknown.
    """
    values = plan.settings.values
    items = read_items(
        values,
        task=plan.model.task,
        modality=_MODALITY.get(plan.model.kind, "text"),
        config=plan.model.config,
        folder=plan.model.folder,
    )
    metric = choose_metric(
        plan.model.task, labelled=items.labelled, name=values.metric, config=plan.model.config
    )
    calibration, test = split(items, seed=values.seed)
    named = ", ".join(f"{name} = {column}" for name, column in items.columns.items())
    note(f"data: {items.source} ({named}), {len(calibration)} + {len(test)} items, {metric.name}")
    for line in data_notes(items):
        note(line)
    return Splits(
        items=items,
        calibration=calibration,
        test=test,
        metric=metric,
        unlabelled=_unlabelled(plan, items, test, note=note),
    )


def _unlabelled(plan: Plan, items: Items, test: Items, *, note: Callable[[str], None]) -> Unlabelled | None:
    """What was given to calibrate on, without what is in the test part.

    Raises:
        CompressError: it is missing or unreadable, or all of it is judged.
    """
    values = plan.settings.values
    if not values.calibration:
        return None
    found = load_unlabelled(
        values.calibration,
        task=plan.model.task,
        modality=_MODALITY.get(plan.model.kind, "text"),
        **label_options(values, plan.model.config),
        write_chat=ConversationWriter(plan.model.folder),
        pairs="text_pair" in items.columns and plan.model.task != "feature-extraction",
        offline=values.offline,
        seed=values.seed,
    ).without(test.rows)
    judged = f"; {found.left_out:,} rows that the result is judged on left out" if found.left_out else ""
    note(f"calibration: {', '.join(found.sources)}{judged}")
    if not found.rows:
        message = "everything given with --calibration is in the test part of --data"
        raise CompressError("data-empty", message, hint="give other text")
    return found


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Compares graphs with the fp32 graph, which was compared with the PyTorch module at its export."""

    plan: Plan
    splits: Splits
    base: Artifact
    preprocessor: Preprocessor
    progress: Progress

    def check_labels(self) -> list[str]:
        """Refuse labels on which the uncompressed model is at chance, and mappings that it contradicts.

        Looked at on the calibration split, before anything is compressed. Where the budget lets all be lost
        no label decides anything, and being at chance is only said.

        Returns:
            What to say of the data and of its labels.

        Raises:
            CompressError: It is at chance by its interval, or a guess at its classes is not confirmed.
        """
        metric, values = self.splits.metric, self.plan.settings.values
        notes = data_notes(self.splits.items)
        if metric.lift is None:
            return notes
        graphs = {RESULT: (self.base.graph, Recipe.model_fields["runtime"].default)}
        records = self._scores(graphs, self.splits.calibration, "check the labels", metric)[RESULT].records
        lift = metric.lift(records)
        if not values.allow_chance:
            refuse_doubtful(self.splits.items.label_map, records, lift)
            if lift.verdict == "below" or not allows_all(self.plan.max_drop):
                refuse_chance(metric, lift)
        line = chance_note(metric, lift)
        if line is None:
            return notes
        self.progress.note(line)
        return [*notes, line]

    def on_calibration(self, candidates: Sequence[Candidate]) -> dict[str, Accuracy]:
        """Accuracy of each candidate on the calibration split, by name."""
        graphs = {one.recipe.name: (one.artifact.graph, one.recipe.runtime) for one in candidates}
        title = f"judge '{next(iter(graphs))}'" if len(graphs) == 1 else "judge the candidates"
        return self._judge(graphs, self.splits.calibration, title)

    def on_test(self, graphs: Mapping[str, tuple[Path, str]]) -> dict[str, Accuracy]:
        """Accuracy of graphs, each with its runtime, on the test split, by name."""
        return self._judge(graphs, self.splits.test, "judge the result")

    def on(self, items: Items, graph: Path, *, runtime: str, metric: Metric) -> Accuracy:
        """What one graph reaches on other items, by another metric."""
        return self._judge({RESULT: (graph, runtime)}, items, "judge on other text", metric)[RESULT]

    def _judge(
        self,
        graphs: Mapping[str, tuple[Path, str]],
        items: Items,
        title: str,
        metric: Metric | None = None,
    ) -> dict[str, Accuracy]:
        if not graphs:
            return {}
        scores = self._scores(graphs, items, title, metric or self.splits.metric)
        return {name: score.accuracy() for name, score in scores.items()}

    def _scores(
        self, graphs: Mapping[str, tuple[Path, str]], items: Items, title: str, metric: Metric
    ) -> dict[str, Scores]:
        runners = {name: open_runner(graph, runtime=runtime) for name, (graph, runtime) in graphs.items()}
        own = {name: self._own(graph.parent, runners[name]) for name, (graph, _) in graphs.items()}
        return evaluate(
            metric,
            open_runner(self.base.graph),
            runners,
            folder=self.base.folder,
            task=self.base.task,
            preprocess=self.preprocessor,
            own={name: tools for name, tools in own.items() if tools is not None},
            rows=items.rows,
            progress=self.progress,
            title=title,
        )

    def _own(self, folder: Path, runner: Runner) -> Tools | None:
        """What prepares rows for a candidate whose tokenizer is not the original's."""
        if same_tokenizer(folder, self.base.folder):
            return None
        first = Tools(folder=self.base.folder, task=self.base.task, preprocess=self.preprocessor)
        preprocess = load_preprocessor(folder, task=self.base.task, inputs=runner.inputs)
        return Tools(folder=folder, task=self.base.task, preprocess=preprocess, original=first)
