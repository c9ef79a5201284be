"""What a decoder writes after a prompt, as OpenAI's clients ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compress.runtime.generate import LoadedDecoder


class Wanted(BaseModel):
    """What both routes take. Without a temperature the likeliest token is taken, each time the same."""

    model_config = ConfigDict(extra="ignore")
    max_tokens: int = Field(default=64, ge=1, le=4096)
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
        given = [self.stop] if isinstance(self.stop, str) else self.stop
        return [one for one in given if one]


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


def write(model: LoadedDecoder, prompt: str, wanted: Wanted, *, chat: bool) -> Written:
    """What the model writes, until its own end, a stop or the most tokens.

    Raises:
        CompressError: the prompt is too long or no text, or the model has no template for chats.
    """
    try:
        prompt.encode()
    except UnicodeEncodeError:
        message = "the prompt holds half of a surrogate pair"
        raise CompressError("input-invalid", message, hint="send whole characters") from None
    ids = model.tokens(prompt, chat=chat)
    if len(ids) >= model.text.max_length:  # the tokenizer would leave the end out without a word
        message = f"the prompt fills the model's {model.text.max_length} tokens"
        raise CompressError("prompt-length", message, hint="shorten the prompt")
    text, count, stopped = _until(
        model.pieces(ids, tokens=wanted.max_tokens, **wanted.search()), wanted.stops()
    )
    full = count >= wanted.max_tokens and not stopped
    reason: Literal["stop", "length"] = "length" if full else "stop"
    return Written(text=text, reason=reason, prompt_tokens=len(ids), tokens=count)


def _until(pieces: Iterable[str], stops: list[str]) -> tuple[str, int, bool]:
    """The text before the first stop, the tokens that were written, and whether there was a stop."""
    text, count = "", 0
    for piece in pieces:
        text, count = text + piece, count + 1
        found = [text.index(stop) for stop in stops if stop in text]
        if found:
            return text[: min(found)], count, True
    return text, count, False
