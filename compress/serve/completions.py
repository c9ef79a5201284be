"""What a decoder writes after a prompt, as OpenAI's clients ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compress.core.errors import CompressError
from compress.serve.queue import OutOfTime
from compress.serve.rows import refuse_surrogates

if TYPE_CHECKING:
    from collections.abc import Generator

    from compress.runtime.generate import LoadedDecoder
    from compress.serve.limits import Limits

_PROMPT_PART = 128
"""Tokens of a prompt that are read in one part of the work: about as many as take a second at most on
small machines."""


class Wanted(BaseModel):
    """What both routes take. Without a temperature the likeliest token is taken, each time the same."""

    model_config = ConfigDict(extra="ignore")
    max_tokens: int = Field(default=64, ge=1)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int | None = Field(default=None, ge=0, lt=2**31)
    stop: str | list[str] = Field(default_factory=list, max_length=64)
    n: Literal[1] = 1
    stream: Literal[False] = False

    def search(self) -> dict[str, Any]:
        """The runtime's options."""
        if self.temperature == 0.0:
            return {}
        seed = {} if self.seed is None else {"random_seed": self.seed}
        return {"do_sample": True, "temperature": self.temperature, "top_p": self.top_p, **seed}

    def stops(self) -> list[str]:
        """Texts at which writing ends."""
        texts = [self.stop] if isinstance(self.stop, str) else self.stop
        return [text for text in texts if text]


class Completion(Wanted):
    """What `/v1/completions` takes."""

    prompt: str = Field(min_length=1)


class Turn(BaseModel):
    """A message of a chat."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["user"]
    content: str = Field(min_length=1)


class Chat(Wanted):
    """What `/v1/chat/completions` takes: one turn of a user."""

    messages: list[Turn] = Field(min_length=1, max_length=1)


@dataclass(frozen=True, kw_only=True)
class Written:
    """A text, why it ended, and the tokens that were read and written."""

    text: str
    reason: Literal["stop", "length"]
    prompt_tokens: int
    tokens: int

    @property
    def usage(self) -> dict[str, int]:
        """As OpenAI counts."""
        total = self.prompt_tokens + self.tokens
        return {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.tokens, "total_tokens": total}


def write(
    model: LoadedDecoder, prompt: str, wanted: Wanted, *, chat: bool, limits: Limits
) -> Generator[None, None, Written]:
    """Write until the model's own end, a stop, the most tokens or the end of a request's time.

    Args:
        model: the decoder.
        prompt: the text to continue, or a user's turn.
        wanted: how it is continued.
        chat: whether the prompt is put into the template of the model's conversations.
        limits: the longest prompt and the most tokens.

    Yields:
        After each part of the prompt and each token.

    Returns:
        The text that was written.

    Raises:
        CompressError: the prompt is too long or no text, too much is asked for, or the model has no template.
    """
    if wanted.max_tokens > limits.new_tokens:
        message = f"max_tokens is {wanted.max_tokens}, expected at most {limits.new_tokens}"
        raise CompressError("input-invalid", message, hint="ask for the rest with another request")
    ids = _prompt_ids(model, prompt, chat=chat, limits=limits)
    yield
    text = _Text(wanted.stops(), most=wanted.max_tokens)
    pieces = model.pieces_in_parts(ids, tokens=wanted.max_tokens, part=_PROMPT_PART, **wanted.search())
    try:
        for piece in pieces:
            if piece is not None and text.add(piece):
                break
            yield
    except OutOfTime:
        text.is_cut = True
    return Written(text=text.written, reason=text.reason, prompt_tokens=len(ids), tokens=text.tokens)


def _prompt_ids(model: LoadedDecoder, prompt: str, *, chat: bool, limits: Limits) -> list[int]:
    refuse_surrogates(prompt)
    if len(prompt) > limits.item_characters:
        message = f"the prompt is longer than {limits.item_characters} characters"
        raise CompressError("prompt-length", message, hint="shorten the prompt")
    ids = model.tokens(prompt, chat=chat)
    longest = min(limits.prompt_tokens, model.text.max_length - 1)
    if len(ids) > longest:  # the tokenizer would leave the end out without a word
        message = f"the prompt has {len(ids)} tokens, expected at most {longest}"
        raise CompressError("prompt-length", message, hint="shorten the prompt")
    return ids


class _Text:
    """What was written so far, up to the first stop."""

    def __init__(self, stops: list[str], *, most: int) -> None:
        self.written = ""
        self.tokens = 0
        self.is_cut = False
        self._stops = stops
        self._most = most
        self._is_stopped = False

    def add(self, piece: str) -> bool:
        """Add a token's text; whether a stop ends the text."""
        self.tokens += 1
        self.written += piece
        # A stop that is new ends within the piece.
        ends = [
            place
            for stop in self._stops
            if (place := self.written.find(stop, max(0, len(self.written) - len(piece) - len(stop)))) >= 0
        ]
        if ends:
            self.written, self._is_stopped = self.written[: min(ends)], True
        return self._is_stopped

    @property
    def reason(self) -> Literal["stop", "length"]:
        """Why the text ended, in OpenAI's words."""
        return "length" if self.is_cut or (self.tokens >= self._most and not self._is_stopped) else "stop"
