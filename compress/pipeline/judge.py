"""Accuracy of artifacts on the splits of the user's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.graph.session import open_runner
from compress.measure.evaluate import evaluate
from compress.measure.metric import Tools
from compress.pipeline.contenders import RESULT
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
        scores = self.scores(graphs, items, title, metric)
        return {name: score.accuracy() for name, score in scores.items()}

    def scores(
        self,
        graphs: Mapping[str, tuple[Path, str]],
        items: Items,
        title: str,
        metric: Metric | None = None,
    ) -> dict[str, Scores]:
        """What graphs, each with its runtime, reach on items, with the records of each; by name."""
        runners = {name: open_runner(graph, runtime=runtime) for name, (graph, runtime) in graphs.items()}
        own = {name: self._own(graph.parent, runners[name]) for name, (graph, _) in graphs.items()}
        return evaluate(
            metric or self.splits.metric,
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
