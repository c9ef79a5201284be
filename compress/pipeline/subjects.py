"""What `bench`, `eval` and `compare` are pointed at: published artifacts and checkpoints, any mix of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compress.core.artifact import GRAPH_NAME
from compress.core.paths import MANIFEST
from compress.graph.io import graph_bytes
from compress.graph.session import GENAI, TensorSpec, open_runner
from compress.measure.confinement import NO_LIMITS, Confinement
from compress.measure.processes import Contender
from compress.measure.torch_runner import TorchRunner
from compress.model.inputs import inputs_of
from compress.model.load import empty_module
from compress.model.resolve import resolve
from compress.model.safety import checkpoint_bytes
from compress.pipeline.cache import cache_folder
from compress.pipeline.manifest import read_manifest
from compress.pipeline.speed import worker_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.graph.session import Runner


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that can be run. `runtime` is `torch` for checkpoints."""

    name: str
    folder: Path
    task: str
    runtime: str
    source: str = ""
    """The digest of the checkpoint that it is or was made from, where that is known."""
    compressed: bool = False
    """Whether it is more than an export of that checkpoint."""

    @property
    def graph(self) -> Path:
        """Where its ONNX graph is, unless `runtime` is `torch`."""
        return self.folder / GRAPH_NAME

    @property
    def size_bytes(self) -> int:
        """Bytes of the weights."""
        if self.runtime == "torch":
            return checkpoint_bytes(self.folder)
        return graph_bytes(self.graph)

    def open(self) -> Runner:
        """It, loaded and ready to answer.

        Raises:
            CompressError: it cannot be loaded.
        """
        if self.runtime == "torch":
            return TorchRunner(self.folder, self.task)
        return open_runner(self.graph, runtime=self.runtime)

    def specs(self) -> Sequence[TensorSpec]:
        """Its inputs."""
        if self.runtime != "torch":
            return open_runner(self.graph, runtime=self.runtime).inputs
        inputs = inputs_of(empty_module(self.folder, self.task), self.folder)
        return [TensorSpec(name, "int64", (None, None)) for name in inputs.names]

    def contender(self, *, threads: int, provider: str, confinement: Confinement = NO_LIMITS) -> Contender:
        """It as a contender."""
        if self.runtime == "torch":
            return Contender(
                name=self.name,
                model=self.folder,
                runtime="torch",
                task=self.task,
                threads=threads,
                confinement=confinement,
            )
        runtime = worker_runtime(self.runtime)
        return Contender(
            name=self.name,
            model=self.folder if runtime == GENAI else self.graph,
            runtime=runtime,
            task=self.task,
            threads=threads,
            provider=provider,
            confinement=confinement,
        )


def find_subject(ref: str, *, task: str | None, offline: bool, note: Callable[[str], None]) -> Subject:
    """An artifact by its folder, or a model as `run` takes it.

    Raises:
        CompressError: there is none, or it was changed since it was published.
    """
    folder = Path(ref)
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        return Subject(
            name=ref,
            folder=folder,
            task=manifest.task,
            runtime=manifest.runtime,
            source=manifest.source.digest,
            compressed=not all(step.name.startswith("export.") for step in manifest.recipe.steps),
        )
    model = resolve(ref, task=task, offline=offline, cache=cache_folder(), note=note)
    return Subject(name=ref, folder=model.folder, task=model.task, runtime="torch", source=model.digest)
