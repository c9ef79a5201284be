"""A published folder as an object that answers: ONNX Runtime (or OpenVINO), tokenizers and NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.artifact import GRAPH_NAME
from compress.core.errors import CompressError
from compress.graph.cached import SETTINGS
from compress.graph.session import open_runner
from compress.runtime import answers
from compress.runtime.classify import best_classes, with_activation
from compress.runtime.embed import Head, load_head
from compress.runtime.engine import Engine
from compress.runtime.files import read_settings, refuse_repository_code
from compress.runtime.generate import LoadedDecoder, load_decoder
from compress.runtime.preprocess import load_preprocessor
from compress.runtime.prompt import named_prompt, prompt_length
from compress.runtime.text import TextPreprocessor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from compress.runtime.preprocess import Row

CLASSIFICATION = ("text-classification", "image-classification", "audio-classification")


def load(folder: str | Path, *, threads: int = 0, runtime: str | None = None) -> LoadedModel | LoadedDecoder:
    """Open an artifact; `threads` 0 is one for each core that this process may use, `runtime` None takes the
    manifest's. A decoder with KV cache gives a `LoadedDecoder`, everything else a `LoadedModel`.

    Raises:
        CompressError: the folder is no artifact, or what runs it is not installed.
    """
    folder = Path(folder)
    graph = folder / GRAPH_NAME
    if not graph.is_file():
        message = f"{folder} has no {GRAPH_NAME}"
        raise CompressError("artifact-missing", message, hint="pass a folder that `compress run` published")
    refuse_repository_code(folder)
    if (folder / SETTINGS).exists():
        return load_decoder(folder, threads=threads)
    manifest = read_settings(folder / "compress.json")
    config = with_activation(read_settings(folder / "config.json"), folder)
    runtime = runtime or manifest.get("runtime") or "onnxruntime"
    runner = open_runner(graph, runtime=runtime, threads=threads)
    task = str(manifest.get("task") or task_of(config, {spec.name for spec in runner.inputs}))
    preprocessor = load_preprocessor(folder, task=task, inputs=runner.inputs)
    if isinstance(preprocessor, TextPreprocessor):
        preprocessor.on_cut = warn_cut
    engine = Engine(folder=folder, config=config, runner=runner, preprocessor=preprocessor)
    return LoadedModel(engine, task=task)


class CutText(UserWarning):
    """A text is longer than the model takes, and what is beyond its limit was not read."""


def warn_cut(count: int, limit: int) -> None:
    """Warn that so many texts of a batch were cut to `limit` tokens."""
    texts = "a text is" if count == 1 else f"{count} texts are"
    warnings.warn(f"{texts} longer than the {limit} tokens that the model takes: cut", CutText, stacklevel=2)


def task_of(config: Mapping[str, Any], inputs: set[str]) -> str:
    """The task of a model by its architecture's name, for folders without a manifest."""
    name = str((config.get("architectures") or [""])[0])
    sound = inputs & {"input_values", "input_features"}
    ends = {
        "ForSequenceClassification": "audio-classification" if sound else "text-classification",
        "ForTokenClassification": "token-classification",
        "ForQuestionAnswering": "question-answering",
        "ForMaskedLM": "fill-mask",
        "ForImageClassification": "image-classification",
        "ForImageClassificationWithTeacher": "image-classification",
        "ForAudioClassification": "audio-classification",
        "ForCTC": "automatic-speech-recognition",
        "ForCausalLM": "text-generation",
        "LMHeadModel": "text-generation",
    }
    return next((task for end, task in ends.items() if name.endswith(end)), "feature-extraction")


class LoadedModel:
    """A model that is ready to answer. Its `task` decides which methods have an answer.

    A list is several items; anything else (a text, a tuple of two texts, a path, an array) is one, and
    its answer is not in a list. Texts that are longer than the model takes are read in windows where each
    of their tokens counts (entities, answers); others are cut as transformers does, with a `CutText` warning.
    """

    def __init__(self, engine: Engine, *, task: str) -> None:
        self.task = task
        self._engine = engine
        self._head = load_head(engine.folder) if task == "feature-extraction" else Head()

    @property
    def modality(self) -> str:
        """`text`, `image` or `audio`."""
        return self._engine.preprocessor.modality

    def count_tokens(self, items: Any) -> int:
        """How many tokens the model reads of these texts, special ones among them; 0 of other inputs."""
        if not isinstance(self._engine.preprocessor, TextPreprocessor):
            return 0
        rows, _ = self._rows(items)
        text = self._engine.preprocessor
        read = [row[:1] for row in text.windows(rows)] if text.cuts else text.windows(rows)
        return sum(len(window) for windows in read for window in windows)

    def encode(
        self,
        items: Any,
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        normalize: bool | None = None,
    ) -> np.ndarray:
        """Embed texts, pictures or sounds.

        Pooling and normalization are those of the model's sentence-transformers files; a bare encoder
        of text gives the mean over its tokens.

        Args:
            items: a list of several, or one.
            prompt_name: which of the prompts in the model's files stands before each text; None takes its
                default prompt.
            prompt: words that stand there instead, whatever `prompt_name` is; empty for none.
            batch_size: items that are run at once.
            normalize: True or False wins over the files.

        Returns:
            (N, D) float32, or (D,) of one item.

        Raises:
            CompressError: the model's task is another, it has no such prompt, or an item cannot be read.
        """
        self._expect("encode", ("feature-extraction",))
        rows, one = self._rows(items)
        if prompt is None and prompt_name is not None:
            prompt = named_prompt(self._engine.folder, prompt_name)
        engine, head = (self._engine, self._head) if prompt is None else self._prompted(prompt)
        vectors = answers.embeddings(engine, rows, batch_size, head=head, normalize=normalize)
        return np.asarray(vectors[0]) if one else vectors

    def classify(self, items: Any, *, batch_size: int = 32) -> Any:
        """The likeliest class, `{"label", "score"}`, of texts, pairs of texts, pictures or sounds.

        Raises:
            CompressError: the model's task is another, or an item cannot be read.
        """
        self._expect("classify", CLASSIFICATION)
        rows, one = self._rows(items)
        classes = best_classes(answers.logits(self._engine, rows, batch_size), self._engine.config)
        return classes[0] if one else classes

    def predict(self, items: Any, *, batch_size: int = 32) -> Any:
        """What the model's task gives for each item.

        Feature extraction: embeddings. Classification: logits (N, classes). Token classification: the
        spans of a text, or the tags of a list of words. Question answering, of (question, context):
        `{"answer", "score", "start", "end"}`. Fill-mask: for each mask the five likeliest tokens.
        Text generation, of graphs without a KV cache: the five likeliest next tokens.
        Speech recognition: the transcript.

        Raises:
            CompressError: the task has no predictions, or an item cannot be read.
        """
        kinds: dict[str, Callable[[Engine, Sequence[Row], int], Any]] = {
            "feature-extraction": partial(answers.embeddings, head=self._head, normalize=None),
            **dict.fromkeys(CLASSIFICATION, answers.logits),
            "token-classification": answers.spans,
            "question-answering": answers.replies,
            "fill-mask": answers.fills,
            "text-generation": answers.continuations,
            "automatic-speech-recognition": answers.transcripts,
        }
        self._expect("predict", tuple(kinds))
        rows, one = self._rows(items)
        found = kinds[self.task](self._engine, rows, batch_size)
        return found[0] if one else found

    def _prompted(self, prompt: str) -> tuple[Engine, Head]:
        """Put a prompt before each text, and pool as the model's files say of prompts."""
        text = self._engine.preprocessor
        if not isinstance(text, TextPreprocessor):
            message = f"prompts are for texts, and this model reads {text.modality}"
            raise CompressError("prompt-unsupported", message, hint="leave prompt and prompt_name out")
        engine = replace(self._engine, preprocessor=text.with_prefix(prompt))
        return engine, self._head.after_prompt(prompt_length(engine.folder, prompt))

    def _expect(self, method: str, tasks: tuple[str, ...]) -> None:
        if self.task not in tasks:
            message = f"{method} is for {', '.join(tasks)}; this model's task is {self.task}"
            raise CompressError("task-unsupported", message, hint="use predict, or another model")

    def _rows(self, items: Any) -> tuple[list[Row], bool]:
        several = isinstance(items, list)
        return [self._row(item) for item in (items if several else [items])], not several

    def _row(self, item: Any) -> Row:
        if isinstance(item, Mapping):
            return item
        modality = self._engine.preprocessor.modality
        if modality != "text":
            return {modality: item}
        if isinstance(item, list):
            return {"tokens": item}
        if isinstance(item, tuple):
            pair = ("question", "context") if self.task == "question-answering" else ("text", "text_pair")
            return dict(zip(pair, item, strict=True))
        return {"text": item}
