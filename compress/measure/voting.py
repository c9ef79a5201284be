"""Samples of a decoder's answers to questions, and whether they are right."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from compress.measure.answers import normalized
from compress.stats.vote import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_LETTER = re.compile(r"\b([A-J])\b")
_MARK = "####"
"""Behind this stands the answer in GSM8K, whose solutions come before it."""


class Writer(Protocol):
    """What writes: a `LoadedDecoder`."""

    def tokens(self, prompt: str, *, chat: bool = False) -> list[int]:
        """The ids of a prompt."""

    def pieces(self, ids: Sequence[int], *, tokens: int, **search: Any) -> Iterator[str]:
        """The text of each token that follows."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How answers are drawn. `tokens` at most are written for each."""

    samples: int
    tokens: int
    temperature: float
    chat: bool
    seed: int


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """What one model said: `answers` (items, K) numbered within their item, `right` (items, K), and for each
    sample the `seconds` that it took and the `tokens` that were written.
    """

    answers: np.ndarray
    right: np.ndarray
    seconds: np.ndarray
    tokens: np.ndarray


def sample_in_turn(
    writers: Mapping[str, Writer],
    rows: Sequence[Mapping[str, Any]],
    how: Sampling,
    *,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, Sampled]:
    """Draw every model's answers to every row's `question`; the models take turns, in an order drawn anew
    for each sample, so that what slows the machine slows all of them.

    Raises:
        CompressError: a question is empty or too long, or there is no template to chat in.
    """
    shape = (len(rows), how.samples)
    texts = {name: np.empty(shape, object) for name in writers}
    seconds = {name: np.zeros(shape) for name in writers}
    tokens = {name: np.zeros(shape, int) for name in writers}
    order = random.Random(how.seed)
    for item, row in enumerate(rows):
        for sample in range(how.samples):
            for name in order.sample(list(writers), len(writers)):
                start = time.perf_counter()
                pieces = _write(writers[name], str(row["question"]), how, number=item * how.samples + sample)
                seconds[name][item, sample] = time.perf_counter() - start
                tokens[name][item, sample] = len(pieces)
                texts[name][item, sample] = "".join(pieces)
        advance()
    found = {}
    for name in writers:
        judged = [judge(list(own), row["answers"]) for own, row in zip(texts[name], rows, strict=True)]
        answers, right = (np.array(part).reshape(shape) for part in zip(*judged, strict=True))
        found[name] = Sampled(answers=answers, right=right, seconds=seconds[name], tokens=tokens[name])
    return found


def _write(writer: Writer, question: str, how: Sampling, *, number: int) -> list[str]:
    search = {"do_sample": True, "temperature": how.temperature, "random_seed": how.seed * 1_000_003 + number}
    ids = writer.tokens(question, chat=how.chat)
    return list(writer.pieces(ids, tokens=how.tokens, **search))


def judge(texts: Sequence[str], answers: Sequence[str]) -> tuple[list[int], list[bool]]:
    """Of one item's samples: the number of what each says (equal: the same), and whether it is right."""
    read = reader(answers)
    wanted = {read(answer) for answer in answers}
    said = [read(text) for text in texts]
    numbers = {answer: number for number, answer in enumerate(dict.fromkeys(filter(None, said)))}
    return [numbers.get(one, NO_ANSWER) for one in said], [bool(one) and one in wanted for one in said]


def reader(answers: Sequence[str]) -> Callable[[str], str]:
    """What finds the answer in a text, by what the right ones look like: the last number where they are
    numbers, the first capital letter by itself where they are one from A to J, else the first line as SQuAD
    compares texts. Empty where nothing is found.
    """
    ends = [answer.rsplit(_MARK, 1)[-1].strip() for answer in answers]
    if all(_NUMBER.fullmatch(end.strip("$%. ")) for end in ends):
        return number_in
    if all(re.fullmatch(r"\(?[A-J]\)?\.?", end) for end in ends):
        return letter_in
    return line_in


def number_in(text: str) -> str:
    """The number behind `####`, or the last one; `1,200.0` and `1200` are the same."""
    found = _NUMBER.findall(text.rsplit(_MARK, 1)[-1]) if _MARK in text else _NUMBER.findall(text)
    if not found:
        return ""
    value = float((found[0] if _MARK in text else found[-1]).replace(",", ""))
    return f"{value:.10g}"


def letter_in(text: str) -> str:
    """The letter behind "answer", or the first that stands by itself."""
    _, _, after = text.rpartition("nswer")
    found = _LETTER.search(after) or _LETTER.search(text)
    return found[1] if found else ""


def line_in(text: str) -> str:
    """What stands behind `####`, or the first line that is not empty."""
    lines = [normalized(line) for line in text.rsplit(_MARK, 1)[-1].splitlines()]
    return next((line for line in lines if line), "")
