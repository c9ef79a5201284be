"""`compress vote --json`: accuracy against the number of samples, and what they cost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from compress.core.config import Frozen
from compress.core.cost import Cost
from compress.core.report import TargetFacts


class Voter(Frozen):
    """One model. The tuples have one entry for each number of samples, from one on: `accuracy` of the
    majority with its 95% interval over items, and `any_right`, how often one sample at least is right.
    `seconds` and `tokens` are means of one sample, prompt and answer; `answered` is the share of samples in
    which an answer was found.
    """

    name: str
    size_bytes: int
    seconds: float
    tokens: float
    answered: float
    accuracy: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    any_right: tuple[float, ...]
    cost: Cost
    """Of a thousand samples."""


class EqualCost(Frozen):
    """What `model` reaches with the `samples` that `first_samples` of the first model pay for. `gain` is in
    accuracy (0.01: one point), paired by item, with its 95% interval.
    """

    model: str
    first_samples: int
    samples: int
    first: float
    accuracy: float
    gain: float
    low: float
    high: float


class Voting(Frozen):
    """The whole document."""

    schema_version: Literal[1] = 1
    created: str
    """UTC, ISO 8601."""
    target: TargetFacts
    data: dict[str, Any]
    settings: dict[str, Any]
    voters: tuple[Voter, ...]
    equal_cost: tuple[EqualCost, ...]
    noise: list[str] = Field(default_factory=list)
