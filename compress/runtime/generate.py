"""A decoder's folder as an object that writes: ONNX Runtime GenAI, tokenizers and NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from tokenizers.decoders import DecodeStream

from compress.core.artifact import GRAPH_NAME
from compress.core.errors import CompressError
from compress.graph.session import TensorSpec, open_runner
from compress.runtime.decoder import Decoder, in_parts
from compress.runtime.next_token import next_tokens
from compress.runtime.outputs import logits_of
from compress.runtime.text import load_text
from compress.runtime.tokenizer import reading_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from compress.graph.session import Runner
    from compress.runtime.preprocess import Row
    from compress.runtime.text import TextPreprocessor

_INPUTS = tuple(TensorSpec(name, "int64", (None, None)) for name in ("input_ids", "attention_mask"))


@dataclass(frozen=True, kw_only=True)
class LoadedDecoder:
    """A causal language model that is ready to write."""

    folder: Path
    threads: int = 0
    task: str = "text-generation"
    modality: str = "text"

    def generate(self, prompt: str, *, tokens: int = 128, chat: bool = False, **search: Any) -> str:
        """What the model writes after `prompt`; see `stream`."""
        return "".join(self.stream(prompt, tokens=tokens, chat=chat, **search))

    def stream(self, prompt: str, *, tokens: int = 128, chat: bool = False, **search: Any) -> Iterator[str]:
        """Pieces of text as they are written, at most `tokens` tokens, until the model ends its text.

        `chat` puts the prompt into the template of the model's conversations. The likeliest token is
        taken, unless `search` says otherwise: `do_sample=True`, `temperature`, `top_k`, `top_p`,
        `random_seed`, `repetition_penalty`.

        Raises:
            CompressError: the prompt is empty or too long, or there is no template.
        """
        for piece in self.pieces(self.tokens(prompt, chat=chat), tokens=tokens, **search):
            if piece:
                yield piece

    def pieces(self, ids: Sequence[int], *, tokens: int, **search: Any) -> Iterator[str]:
        """The text of each token that follows `ids`: empty where a character is not yet whole.

        Raises:
            CompressError: the prompt is empty or too long.
        """
        for piece in self.pieces_in_parts(ids, tokens=tokens, part=max(len(ids), 1), **search):
            if piece is not None:
                yield piece

    def pieces_in_parts(
        self, ids: Sequence[int], *, tokens: int, part: int, **search: Any
    ) -> Iterator[str | None]:
        """The same in steps of bounded work: None after each `part` tokens of the prompt that were read.

        Raises:
            CompressError: the prompt is empty or too long.
        """
        tokenizer, stream = self.text.tokenizer, DecodeStream(skip_special_tokens=True)
        for token in in_parts(self._decoder, ids, tokens=tokens, part=part, **search):
            yield None if token is None else stream.step(tokenizer, token) or ""

    def tokens(self, prompt: str, *, chat: bool = False) -> list[int]:
        """The token ids of a prompt.

        Raises:
            CompressError: `chat` is asked for and the model has no template, or the prompt is longer than
                what the model takes, or holds a token that it has no embedding for.
        """
        written = self._decoder.chat(prompt) if chat else prompt
        # A template has the special tokens that it wants.
        with reading_text():
            encoding = self.text.tokenizer.encode(written, add_special_tokens=not chat)
        if encoding.overflowing:
            message = f"the prompt is longer than the {self.text.max_length} tokens that the model takes"
            raise CompressError("prompt-length", message, hint="shorten it")
        ids: list[int] = self.text.known([encoding])[0].ids
        return ids

    def predict(self, items: Any, *, batch_size: int = 32) -> Any:
        """Of each text the five likeliest next tokens, `{"token", "score"}`."""
        del batch_size
        if not isinstance(items, list):
            return self.predict([items])[0]
        return [self._next(item["text"] if isinstance(item, dict) else item) for item in items]

    def encode(self, items: Any, **_: Any) -> NoReturn:
        """Refused: a decoder gives no embeddings."""
        del items
        raise _unsupported("encode")

    def classify(self, items: Any, **_: Any) -> NoReturn:
        """Refused: a decoder knows no classes."""
        del items
        raise _unsupported("classify")

    def count_tokens(self, rows: Sequence[Row]) -> int:
        """How many tokens the model reads of these rows."""
        return sum(len(encoding.ids) for encoding in self.text.encodings(rows))

    def logits(self, text: str) -> np.ndarray:
        """Logits (T, V) float32 at every token of a text, of the token after it."""
        return np.asarray(logits_of(self._graph.run(self.text.feeds([{"text": text}])))[0])

    def _next(self, text: str) -> list[dict[str, Any]]:
        ids = self.tokens(text)
        session = self._decoder.session(ids, longest=len(ids) + 1)
        return next_tokens(session.logits()[None], self.text.tokenizer)

    @cached_property
    def text(self) -> TextPreprocessor:
        """The tokenizer."""
        return load_text(self.folder, task=self.task, inputs=_INPUTS)

    @cached_property
    def _decoder(self) -> Decoder:
        return Decoder(self.folder, threads=self.threads)

    @cached_property
    def _graph(self) -> Runner:
        return open_runner(self.folder / GRAPH_NAME, threads=self.threads)


def _unsupported(method: str) -> CompressError:
    message = f"{method} is not for text-generation"
    return CompressError("task-unsupported", message, hint="use generate, stream or predict")


def load_decoder(folder: Path, *, threads: int) -> LoadedDecoder:
    """Load model and tokenizer now, so that what is wrong shows at once.

    Raises:
        CompressError: one of them is missing or damaged.
    """
    loaded = LoadedDecoder(folder=folder, threads=threads)
    _ = loaded.text, loaded._decoder
    return loaded
