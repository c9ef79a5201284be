"""A decoder's folder in ONNX Runtime GenAI: prompts in, tokens out one at a time."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.artifact import GRAPH_NAME
from compress.core.cores import usable_cores
from compress.core.errors import CompressError
from compress.core.visible import visible
from compress.graph.cached import SETTINGS
from compress.graph.trust import check_graph
from compress.runtime.chat import ChatTemplate
from compress.runtime.genai_settings import read_genai_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from compress.runtime.genai_settings import GenaiSettings


class Decoder:
    """A model that is loaded and ready to continue token ids."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """Load the folder; `threads` 0 is one for each core that this process may use.

        Raises:
            CompressError: The runtime is not installed or cannot load the folder, or the folder's settings
                or graph are not to be trusted.
        """
        settings = read_genai_settings(folder)
        check_graph(folder / GRAPH_NAME)
        self._genai, self._folder = genai_runtime(), folder
        self._model = _load(self._genai, folder, settings, threads or usable_cores())
        self.context_length = settings.model.context_length
        # A state of fixed size, unlike keys and values, does not tell what it was some tokens ago.
        self._rewinds = not settings.keeps_states
        self.end_ids = settings.end_ids

    def chat(self, prompt: str) -> str:
        """Write one turn of a user in the template of the model's conversations, ready for its answer.

        Raises:
            CompressError: The model has no template, or it fails or exceeds its limits.
        """
        return self._template.render([{"role": "user", "content": prompt}])

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self._folder)

    def session(self, ids: Sequence[int] | np.ndarray, *, longest: int, **search: Any) -> Session:
        """Read a prompt (T,); at most `longest` tokens, those of the prompt among them, will follow.

        `search` are the runtime's options (`do_sample`, `temperature`, `top_p`, `top_k`, `random_seed`).

        Raises:
            CompressError: The prompt is empty or too long for the model, or the runtime fails on it.
        """
        prompt = np.asarray(ids, dtype=np.int32).ravel()
        self.refuse_length(len(prompt))
        longest = min(longest, self.context_length)
        with _runtime_errors():
            params = self._genai.GeneratorParams(self._model)
            # The runtime would end at the end of a text; whether that ends the work is the caller's choice.
            limits = {"max_length": longest, "min_length": longest}
            params.set_search_options(**{"do_sample": False, **search, **limits})
        return Session(
            lambda: self._genai.Generator(self._model, params),
            prompt=prompt,
            longest=longest,
            rewinds=self._rewinds,
        )

    def refuse_length(self, tokens: int) -> None:
        """Refuse a prompt of so many tokens where the model cannot continue it.

        Raises:
            CompressError: it is empty or too long.
        """
        if not 0 < tokens < self.context_length:
            message = f"a prompt of {tokens} tokens, expected 1 to {self.context_length - 1}"
            raise CompressError("prompt-length", message, hint="shorten the prompt")


@contextmanager
def _runtime_errors() -> Iterator[None]:
    """Tell what the runtime complains of in one line.

    Raises:
        CompressError: It failed.
    """
    try:
        yield
    except Exception as error:  # the runtime's exceptions share no base class but this one
        reason = visible(" ".join(str(error).split())[:300])
        message = f"onnxruntime-genai fails on this model: {reason}"
        raise CompressError("artifact-broken", message, hint="make the artifact again") from error


class Session:
    """A prompt that was read and the tokens that follow it."""

    def __init__(
        self, begin: Callable[[], Any], *, prompt: np.ndarray, longest: int, rewinds: bool = True
    ) -> None:
        self._begin = begin
        self._prompt = prompt
        self._longest = longest
        self._rewinds = rewinds
        self._read()

    def _read(self) -> None:
        with _runtime_errors():
            self._generator = self._begin()
            self._generator.append_tokens(self._prompt)
        self._length = len(self._prompt)

    @property
    def is_full(self) -> bool:
        """Whether no token may follow."""
        return self._length >= self._longest

    def append(self, ids: Sequence[int]) -> None:
        """Read more of the prompt (T,)."""
        more = np.asarray(ids, dtype=np.int32)
        self._generator.append_tokens(more)
        self._prompt = np.concatenate([self._prompt, more])
        self._length += len(more)

    def next(self) -> int:
        """The next token."""
        with _runtime_errors():
            self._generator.generate_next_token()
            self._length += 1
            return int(self._generator.get_next_tokens()[0])

    def logits(self) -> np.ndarray:
        """Logits (V,) float32 of the next token, before it is chosen."""
        with _runtime_errors():
            found = np.asarray(self._generator.get_logits(), dtype=np.float32)
        last: np.ndarray = found.reshape(-1, found.shape[-1])[-1]
        return last

    def rewind(self) -> None:
        """Forget all but the prompt. Its last token is read again, for the logits after it; all of it, where
        the model keeps states that cannot be taken back.
        """
        if not self._rewinds:
            self._read()
            return
        with _runtime_errors():
            self._generator.rewind_to(len(self._prompt) - 1)
            self._generator.append_tokens(self._prompt[-1:])
        self._length = len(self._prompt)


def in_parts(
    decoder: Decoder, ids: Sequence[int], *, tokens: int, part: int, **search: Any
) -> Iterator[int | None]:
    """Continue a prompt in steps of bounded work, so that others can be served in between.

    Args:
        decoder: the model.
        ids: the prompt's token ids (T,).
        tokens: the most tokens that are written.
        part: the most tokens of the prompt that are read in a step.
        search: the runtime's options.

    Yields:
        None after each part of the prompt but the last, then the tokens, until the text ends.

    Raises:
        CompressError: the prompt is empty or too long for the model.
    """
    decoder.refuse_length(len(ids))
    session = decoder.session(ids[:part], longest=len(ids) + tokens, **search)
    for start in range(part, len(ids), part):
        yield None
        session.append(ids[start : start + part])
    while not session.is_full:
        token = session.next()
        if token in decoder.end_ids:
            return
        yield token


def genai_runtime() -> Any:
    """Import onnxruntime-genai with its reports to its maker turned off.

    Raises:
        CompressError: It is not installed.
    """
    if importlib.util.find_spec("onnxruntime_genai") is None:
        message = "onnxruntime-genai, which runs decoders, is not installed"
        raise CompressError("runtime-missing", message, hint="pip install onnxruntime-genai")
    import onnxruntime_genai

    # Some builds report usage to their maker. Releases without that switch report nothing.
    getattr(onnxruntime_genai, "disable_telemetry_events", lambda: None)()
    return onnxruntime_genai


def _load(genai: Any, folder: Path, settings: GenaiSettings, threads: int) -> Any:
    options = {"session_options": {"intra_op_num_threads": threads}}
    # The runtime takes tokens like the padding at the end of a prompt for padding, also where that is the
    # end of a turn. There is none here, one prompt at a time.
    changes = {"model": {"pad_token_id": -1, "decoder": options}}
    try:
        with _view(folder, settings) as view:
            config = genai.Config(str(view))
            config.overlay(json.dumps(changes))
            return genai.Model(config)
    except Exception as error:  # the runtime's exceptions share no base class but this one
        reason = visible(" ".join(str(error).split())[:300])
        message = f"onnxruntime-genai cannot load {folder}: {reason}"
        raise CompressError("graph-unloadable", message, hint="see `compress doctor`") from error


@contextmanager
def _view(folder: Path, settings: GenaiSettings) -> Iterator[Path]:
    """A folder with the settings that were validated, and a link to the model's own.

    Why: the runtime reads the file again, which may have been exchanged since. Where a system has neither
    temporary files nor links, it is given the model's folder.
    """
    document = settings.document()
    document["model"]["decoder"]["filename"] = f"{_MODEL}/{GRAPH_NAME}"
    with ExitStack() as stack:
        try:
            view = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (view / _MODEL).symlink_to(folder.absolute(), target_is_directory=True)
            (view / SETTINGS).write_text(json.dumps(document), encoding="utf8")
        except OSError:
            view = folder
        yield view


_MODEL = "model"
"""The name of the link to the model's folder, beside the settings."""
