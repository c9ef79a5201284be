"""Accuracy of artifacts on the splits of the user's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.core.allowance import allows_all
from compress.core.recipe import Recipe
from compress.graph.session import open_runner
from compress.measure.evaluate import evaluate
from compress.measure.label_check import chance_note, refuse_chance, refuse_doubtful
from compress.measure.metric import Tools
from compress.pipeline.contenders import RESULT
from compress.pipeline.data import data_notes
from compress.runtime.files import same_tokenizer
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from compress.core.artifact import Artifact, Progress
    from compress.core.report import Accuracy
    from compress.data.items import Items
    from compress.graph.session import Runner
    from compress.measure.evaluate import Scores
    from compress.measure.metric import Metric
    from compress.pipeline.contenders import Candidate
    from compress.pipeline.plan import Plan
    from compress.pipeline.splits import Splits
    from compress.runtime.preprocess import Preprocessor


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

        Looked at on the choice part, before anything is compressed. Where the budget lets all be lost no
        label decides anything, and being at chance is only said.

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
        records = self._scores(graphs, self.splits.choice, "check the labels", metric)[RESULT].records
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

    def on_choice(self, candidates: Sequence[Candidate]) -> dict[str, Accuracy]:
        """Judge each candidate on the choice part; accuracies by name."""
        graphs = {one.recipe.name: (one.artifact.graph, one.recipe.runtime) for one in candidates}
        title = f"judge '{next(iter(graphs))}'" if len(graphs) == 1 else "judge the candidates"
        return self._judge(graphs, self.splits.choice, title)

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
