"""What a metric is: how rows become inputs, outputs become records of items, and records a score."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from compress.core.errors import InternalError
from compress.core.report import Accuracy
from compress.runtime.classify import label_names
from compress.runtime.ctc import CtcDecoder, load_ctc
from compress.runtime.embed import Head, load_head
from compress.runtime.files import read_settings
from compress.runtime.text import TextPreprocessor
from compress.stats.estimate import drop_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from compress.runtime.preprocess import Preprocessor, Row
    from compress.stats.chance import Lift
    from compress.stats.estimate import Estimate

    Arrays = Mapping[str, np.ndarray]
    Records = dict[str, np.ndarray]
    """Numbers (n, ...) about n items. Every array has the items as first axis."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What lies beside a model that tells what its outputs mean."""

    folder: Path
    task: str
    preprocess: Preprocessor
    original: Tools | None = None
    """Those of the model that this one is compared with, where its tokenizer is another."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return read_settings(self.folder / "config.json")

    @cached_property
    def head(self) -> Head:
        """From hidden states to embeddings."""
        return load_head(self.folder)

    @cached_property
    def ctc(self) -> CtcDecoder:
        """From frames to a transcript."""
        return load_ctc(self.folder)

    @cached_property
    def names(self) -> dict[int, str]:
        """The classes' names."""
        return label_names(self.config)

    @property
    def text(self) -> TextPreprocessor:
        """The preprocessor of a model of text."""
        if not isinstance(self.preprocess, TextPreprocessor):
            message = "a metric of text was given a model of another kind of input"
            raise InternalError("input-unsupported", message, hint="report this")
        return self.preprocess


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows as the graph gets them.

    `encodings` are the tokens of each input, without padding, and `owners` (inputs,) the rows that inputs
    were made from; `original` is the same rows as another tokenizer cuts them, that of the model which is
    compared with. For language models, whose items are inputs and not rows, `scored` (inputs, T) marks
    the positions of the logits that are judged, and `targets` (inputs, T) the tokens to be found there.
    """

    rows: Sequence[Row]
    feeds: Arrays
    tools: Tools
    encodings: Sequence[Any] = ()
    owners: Sequence[int] = ()
    scored: np.ndarray | None = None
    targets: np.ndarray | None = None
    original: Batch | None = None

    def windows(self) -> list[list[int]]:
        """The inputs that each row was made into."""
        groups: list[list[int]] = [[] for _ in self.rows]
        for number, owner in enumerate(self.owners):
            groups[owner].append(number)
        return groups


class Comparison(NamedTuple):
    """The metric of the reference and of a contender, how much was lost (positive: worse; for
    perplexity a relative increase), and that at most: a one-sided 95% upper bound.
    """

    baseline: float
    result: float
    drop: float
    bound: float


def comparison(before: Estimate, after: Estimate, *, unit: float = 0.0) -> Comparison:
    """Of two scores over the same items, by their influences; see `drop_bound` for `unit`."""
    bound = drop_bound(before, after, unit=unit)
    return Comparison(before.value, after.value, before.value - after.value, bound)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric. `observe` gets the outputs of a contender and of the reference for one batch; for the
    reference itself they are the same.
    """

    name: str
    kind: Literal["task", "fidelity"]
    tasks: frozenset[str]
    """The tasks that it is defined for; `regression` are classifiers with a single output."""
    prepare: Callable[[Sequence[Row], Tools], Batch]
    observe: Callable[[Arrays, Arrays, Batch], Records]
    compare: Callable[[Records, Records], Comparison]
    """Of the reference's and a contender's records, paired by item."""
    default_for: frozenset[str] = frozenset()
    """The tasks for which it is taken where none is named: of each kind one for a task."""
    needs_labels: bool = False
    aliases: tuple[str, ...] = ()
    alone: bool = False
    """Whether `observe` never looks at the reference's outputs, though it is a fidelity."""
    wide: bool = False
    """Whether outputs are as wide as a vocabulary, so that few rows at once fill the memory."""
    lift: Callable[[Records], Lift] | None = None
    """Of a model's own records: how far it is above chance. None where no label tells."""
    sums_by_text: bool = False
    """Whether records are sums over a text's tokens, which compare models that cut it differently."""

    spread: float = 0.25
    """The standard deviation of an item's paired change that compressed models typically show, in units of
    the drop: by it `pipeline.parts` sizes the test part."""
    unit: float = 0.0
    """What one changed item of n costs at least, times n; 0 where items change by degrees."""

    @property
    def needs_same_inputs(self) -> bool:
        """Whether outputs are compared number by number, which takes a reference with the same inputs."""
        return self.kind == "fidelity" and not self.alone


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a contender reached on the items of `records`, paired with the reference."""

    metric: str
    kind: Literal["task", "fidelity"]
    items: int
    baseline: float
    result: float
    drop: float
    drop_upper_95: float
    records: Records = field(repr=False)

    def accuracy(self) -> Accuracy:
        """The same as the report has it."""
        names = Accuracy.model_fields
        return Accuracy(**{name: getattr(self, name) for name in names})
