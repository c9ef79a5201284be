"""A published folder, checked and loaded, as what the routes ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.errors import CompressError
from compress.core.paths import MANIFEST, contained, file_digest
from compress.runtime.files import read_settings
from compress.runtime.generate import LoadedDecoder
from compress.runtime.load import load
from compress.serve.rows import parts_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from compress.runtime.preprocess import Row

_BATCH = 32


class Served:
    """A model that answers rows."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """Compare the files with the manifest and load the graph.

        Raises:
            CompressError: a file is missing or was changed, or the graph cannot be loaded.
        """
        self.manifest = read_settings(folder / MANIFEST)
        _refuse_changed(folder, self.manifest)
        self._model = load(folder, threads=threads)
        self.task = self._model.task
        self.modality = self._model.modality

    def metadata(self) -> dict[str, Any]:
        """What the artifact is, for clients and for people."""
        source = self.manifest.get("source", {})
        return {
            "task": self.task,
            "modality": self.modality,
            "source": {key: source.get(key) for key in ("ref", "revision", "digest")},
            "recipe": self.manifest.get("recipe", {}).get("name"),
            "runtime": self.manifest.get("runtime"),
            "created": self.manifest.get("created"),
            "digest": self.manifest.get("digest"),
            "versions": self.manifest.get("versions", {}),
        }

    @property
    def name(self) -> str:
        """The model's name, as OpenAI's clients want one."""
        return str(self.manifest.get("source", {}).get("ref", "model"))

    def predict(self, rows: Sequence[Row]) -> Generator[None, None, list[Any]]:
        """Answer each row as the task does, ready for JSON. Classifiers tell the likeliest class.

        Yields:
            After each part of the rows.

        Returns:
            The answers, in the order of the rows.

        Raises:
            CompressError: a row cannot be read.
        """
        answers: list[Any] = []
        for part in parts_of(rows):
            answers += self._predict_part(part)
            yield
        return answers

    def _predict_part(self, rows: Sequence[Row]) -> list[Any]:
        if self.task.endswith("-classification") and self.task != "token-classification":
            return list(self._model.classify(list(rows), batch_size=_BATCH))
        return [_plain(answer) for answer in self._model.predict(list(rows), batch_size=_BATCH)]

    def embed(self, rows: Sequence[Row]) -> Generator[None, None, tuple[np.ndarray, int]]:
        """Embed each row.

        Yields:
            After each part of the rows.

        Returns:
            Embeddings (N, D) float32, and the number of tokens that were read (0 where the model reads none).

        Raises:
            CompressError: the model gives none, or a row cannot be read.
        """
        vectors: list[np.ndarray] = []
        tokens = 0
        for part in parts_of(rows):
            vectors.append(self._model.encode(list(part), batch_size=_BATCH))
            tokens += self._model.count_tokens(part)
            yield
        return np.concatenate(vectors), tokens

    @property
    def decoder(self) -> LoadedDecoder | None:
        """The model, if it is one that writes."""
        return self._model if isinstance(self._model, LoadedDecoder) else None


def _refuse_changed(folder: Path, manifest: dict[str, Any]) -> None:
    files = manifest.get("files")
    if not isinstance(files, dict) or not files:
        message = f"{folder} has no {MANIFEST} that lists its files"
        raise CompressError("artifact-missing", message, hint="pass a folder that `compress run` published")
    for name, facts in files.items():
        path = contained(folder, name)
        if not path.is_file() or file_digest(path) != facts.get("sha256"):
            message = f"{name} is missing or was changed since the artifact was published"
            raise CompressError("artifact-changed", message, hint="package the artifact again")


def _plain(answer: Any) -> Any:
    return answer.tolist() if isinstance(answer, np.ndarray) else answer
