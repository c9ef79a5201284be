"""What the scripts kill, starve of disk, run at once and damage: recipes on tiny models, up to publication.

As `compress run` does it, by the same executor, processes, locks, cache and publication, and with the command
line's handling of errors, but without measuring, which writes nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import yaml

from compress.cli import main as command
from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.paths import folder_digest
from compress.core.profile import load_profile, load_recipe
from compress.core.recipe import Recipe, Step
from compress.graph.session import open_runner
from compress.pipeline import step_process
from compress.pipeline.cache import cache_folder, workspace
from compress.pipeline.execute import Executor
from compress.pipeline.manifest import Source, write_manifest
from compress.pipeline.messages import Spec
from compress.pipeline.publish import publish
from compress.pipeline.rows import write_rows
from compress.pipeline.steps import EXPORT, bind, with_export
from tests import tiny
from tests.bench.reliability.forked import ForkedStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compress.core.artifact import Advance

BLOCKS = 8
"""Of the decoder, each of which is a resume point."""

_MODELS = {
    "encoder": (
        "BertModel",
        {**tiny.TEXT_SIZES, "hidden_size": 64, "intermediate_size": 256},
        "feature-extraction",
    ),
    "gptq": ("LlamaForCausalLM", {**tiny.WIDE, "num_hidden_layers": BLOCKS}, "text-generation"),
}
_GPTQ = {
    "group_size": 16,
    "minimum_elements": 0,
    "samples": 2,
    "length": 32,
    "sweeps": 0,
    "channel_scaling": False,
}
_STEPS = {"encoder": [{"quantize.dynamic": {}}], "gptq": [{"quantize.gptq": _GPTQ}]}


@dataclass(frozen=True)
class Job:
    """A recipe on a tiny model."""

    kind: str
    model: Path
    recipe: Path
    task: str

    def run(self, out: Path, *, overwrite: bool = False, progress: Blocks | None = None) -> int:
        """Apply the recipe and publish the result, as the command line does; its exit code."""
        command.build = lambda: lambda **options: self._run(out, overwrite, progress or Blocks())
        return command.main([])

    def take(self, folder: Path) -> None:
        """Take the recipe's steps in this process, to import what they need."""
        artifact = Artifact(kind=ArtifactKind.CHECKPOINT, folder=self.model, task=self.task)
        windows = np.random.default_rng(0).integers(5, 150, (2, 16))
        for step in with_export(load_recipe(str(self.recipe)), decoder=self.kind == "gptq").steps:
            bound, made = bind(step), folder / f"{self.kind}-{step.name}"
            made.mkdir()
            context = Context(
                folder=made,
                calibration=Fixed(windows=windows),
                profile=load_profile("cpu"),
                progress=Silent(),
                work=made / ".work",
            )
            artifact = bound.implementation.apply(artifact, bound.config, context)

    def _run(self, out: Path, overwrite: bool, progress: Blocks) -> None:
        with workspace() as folder:
            rows = folder / "rows.jsonl"
            executor = Executor(
                steps=cache_folder() / "steps",
                rows=rows,
                rows_digest=write_rows(_rows(), rows),
                profile=load_profile("cpu"),
                progress=progress,
                seed=0,
                processor=self.model,
            )
            recipe = with_export(load_recipe(str(self.recipe)), decoder=self.kind == "gptq")
            source = Artifact(kind=ArtifactKind.CHECKPOINT, folder=self.model, task=self.task)
            digest = folder_digest(self.model)
            if self.kind == "encoder":  # whose inputs are known once it is a graph
                base = Recipe(name="base", steps=(Step(name=EXPORT),))
                inputs = open_runner(
                    executor.apply(base, source, digest=digest).made[0].artifact.graph
                ).inputs
                executor.inputs = tuple(
                    Spec(name=tensor.name, dtype=tensor.dtype, shape=tensor.shape) for tensor in inputs
                )
            applied = executor.apply(recipe, source, digest=digest)

            def seal(beside: Path) -> None:
                write_manifest(
                    beside,
                    created="2026-12-01T00:00:00+00:00",
                    task=self.task,
                    source=Source(ref="tiny", revision=None, digest=digest),
                    recipe=recipe,
                    seed=0,
                    host={},
                    versions={},
                )

            progress.note("publishing")
            last = applied.made[-1].artifact.folder
            publish(last, out, documents=lambda beside: {}, seal=seal, replace=overwrite, note=progress.note)


class Blocks:
    """A `Progress` that keeps in a file which blocks were finished when a run began, and which it did."""

    def __init__(self, log: Path | None = None) -> None:
        self._log = log

    def note(self, message: str) -> None:
        print(message, flush=True)
        self._tell(message)

    @contextlib.contextmanager
    def track(self, title: str, total: int | None = None) -> Iterator[Advance]:
        counts: list[int] = []

        def advance(steps: int = 1) -> None:
            counts.append(steps)
            if title == "Quantizing blocks":
                self._tell(f"block {sum(counts)}" if len(counts) > 1 else f"from {steps}")

        yield advance

    def _tell(self, line: str) -> None:
        if self._log is not None:
            with self._log.open("a") as stream:
                stream.write(f"{line}\n")


def build(root: Path) -> dict[str, Job]:
    """Write the tiny models and their recipes below a folder."""
    root.mkdir(parents=True, exist_ok=True)
    jobs = {}
    for kind, values in _MODELS.items():
        tiny.ARCHITECTURES[f"reliability-{kind}"] = values
        recipe = root / f"{kind}.yaml"
        recipe.write_text(yaml.safe_dump({"why": "reliability", "steps": _STEPS[kind]}))
        if not (root / kind).exists():
            tiny.build(f"reliability-{kind}", root / kind)
        jobs[kind] = Job(kind, root / kind, recipe, values[2])
    return jobs


def prepare(root: Path) -> dict[str, Job]:
    """Write the models, import what their steps need, and let steps be forked from this process.

    Which modules those are is found by another process, since one that has computed cannot be forked safely.
    """
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    words = [sys.executable, "-m", "tests.bench.reliability.jobs", str(root)]
    names = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    for name in names.split():
        with contextlib.suppress(Exception):  # modules that are no files of their own
            importlib.import_module(name)
    step_process.subprocess = SimpleNamespace(Popen=ForkedStep, PIPE=subprocess.PIPE)
    return {kind: Job(kind, root / kind, root / f"{kind}.yaml", model[2]) for kind, model in _MODELS.items()}


def _taken(root: Path) -> str:
    """Write the models and take each step once; the names of all modules that are imported by then."""
    with tempfile.TemporaryDirectory() as folder:
        for job in build(root).values():
            job.take(Path(folder))
    return " ".join(name for name in sys.modules if not name.startswith("__"))


def _rows() -> list[dict[str, str]]:
    randomness, words = random.Random(0), tiny.TEXT.split()
    return [{"text": " ".join(randomness.choices(words, k=24))} for _ in range(32)]


if __name__ == "__main__":
    print(f"\n{_taken(Path(sys.argv[1]))}")
