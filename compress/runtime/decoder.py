"""A decoder's folder in ONNX Runtime GenAI: prompts in, tokens out one at a time."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.cores import usable_cores
from compress.core.errors import CompressError
from compress.graph.cached import SETTINGS
from compress.runtime.files import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


class Decoder:
    """A model that is loaded and ready to continue token ids."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """Load the folder; `threads` 0 is one for each core that this process may use.

        Raises:
            CompressError: the runtime is not installed, or cannot load the folder.
        """
        self._genai, self._folder = _runtime(), folder
        config = self._genai.Config(str(folder))
        # The runtime takes tokens like the padding at the end of a prompt for padding, also where that is
        # the end of a turn. There is none here, one prompt at a time.
        config.overlay(json.dumps({"model": {"pad_token_id": -1}}))
        config.overlay(json.dumps(_with_threads(threads or usable_cores())))
        try:
            self._model = self._genai.Model(config)
        except Exception as error:  # the runtime's exceptions share no base class but this one
            reason = " ".join(str(error).split())[:300]
            message = f"onnxruntime-genai cannot load {folder}: {reason}"
            raise CompressError("graph-unloadable", message, hint="see `compress doctor`") from error
        written = json.loads((folder / SETTINGS).read_text(encoding="utf8"))["model"]
        ends = written.get("eos_token_id")
        self.context_length = int(written["context_length"])
        # A state of fixed size, unlike keys and values, does not tell what it was some tokens ago.
        self._rewinds = not _keeps_states(written["decoder"])
        self.end_ids = frozenset(ends if isinstance(ends, list) else [ends]) - {None}

    def chat(self, prompt: str) -> str:
        """One turn of a user in the template of the model's conversations, ready for its answer.

        Raises:
            CompressError: the model has no template.
        """
        turns = json.dumps([{"role": "user", "content": prompt}])
        # Asked here and not of the runtime, which has crashed (not raised) where there is none.
        if not _has_template(self._folder):
            message = "this model's conversations have no template"
            raise CompressError("chat-unsupported", message, hint="leave chat out")
        try:
            tokenizer = self._genai.Tokenizer(self._model)
            return str(tokenizer.apply_chat_template(turns, add_generation_prompt=True))
        except Exception as error:  # the runtime's exceptions share no base class but this one
            reason = " ".join(str(error).split())[:200]
            message = f"this model's conversations have no template that can be used: {reason}"
            raise CompressError("chat-unsupported", message, hint="leave chat out") from error

    def session(self, ids: Sequence[int] | np.ndarray, *, longest: int, **search: Any) -> Session:
        """Read a prompt (T,); at most `longest` tokens, those of the prompt among them, will follow.

        `search` are the runtime's options (`do_sample`, `temperature`, `top_p`, `top_k`, `random_seed`).

        Raises:
            CompressError: the prompt is empty or too long for the model.
        """
        prompt = np.asarray(ids, dtype=np.int32).ravel()
        self.refuse_length(len(prompt))
        longest = min(longest, self.context_length)
        params = self._genai.GeneratorParams(self._model)
        # The runtime would end at the end of a text; whether that ends the work is the caller's choice.
        params.set_search_options(**{"do_sample": False, **search}, max_length=longest, min_length=longest)
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


def _keeps_states(decoder: Mapping[str, Any]) -> bool:
    """Whether some layer keeps a state of a short convolution or of linear attention."""
    return "past_recurrent_names" in decoder["inputs"] or "conv" in decoder.get("layer_types", [])


def _has_template(folder: Path) -> bool:
    """Whether a folder says how turns of a conversation are written."""
    if (folder / "chat_template.jinja").exists():
        return True
    return bool(read_settings(folder / "tokenizer_config.json").get("chat_template"))


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
        self._generator.generate_next_token()
        self._length += 1
        return int(self._generator.get_next_tokens()[0])

    def logits(self) -> np.ndarray:
        """Logits (V,) float32 of the next token, before it is chosen."""
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


def _runtime() -> Any:
    if importlib.util.find_spec("onnxruntime_genai") is None:
        message = "onnxruntime-genai, which runs decoders, is not installed"
        raise CompressError("runtime-missing", message, hint="pip install onnxruntime-genai")
    import onnxruntime_genai

    # Some builds report usage to their maker. Releases without that switch report nothing.
    getattr(onnxruntime_genai, "disable_telemetry_events", lambda: None)()
    return onnxruntime_genai


def _with_threads(threads: int) -> dict[str, Any]:
    return {"model": {"decoder": {"session_options": {"intra_op_num_threads": threads}}}}
