"""Fewer tokens: those that the data needs, all special ones, and what any other text falls back to.

Text made of kept tokens is tokenized exactly as before; other text in smaller pieces. The rows of the
embedding, of a tied or untied head and of its bias go with their tokens. (Abdaoui et al. 2020,
2010.05609, cut multilingual models so, WordPiece alone and by language.)
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from compress.core.artifact import Artifact, ArtifactKind, Context
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.regular_files import read_text
from compress.graph.session import TensorSpec
from compress.model.load import load_module
from compress.model.safety import read_json
from compress.model.sidecars import copy_sidecars
from compress.model.vocabulary import expected, files, tokenizer, weights
from compress.model.vocabulary.script import of_script
from compress.runtime.text import load_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.runtime.preprocess import Row

    Document = Mapping[str, Any]

ACCEPTS = ArtifactKind.CHECKPOINT
PRODUCES = ArtifactKind.CHECKPOINT

_BATCH = 256
_PARTS = 10
"""Into which rows are cut, in their order, to see how much each lacks of what the others need."""


class Config(Frozen):
    """Which tokens stay besides those that always do.

    keep: `calibration` keeps the tokens that the calibration text has `min_count` times or more, `expected`
        those of which text like it is expected to lack a share of `lost` at most, were its words drawn one by
        one (it keeps tokens that the text has not but well may, and lets go what smaller ones stand in for;
        words come in bursts, and the step's note says what parts of the data lack of each other), `file`
        those that the lines of `file` (texts, or tokens as the vocabulary spells them) have, `script` none
        but those of `script`.
    script: also every token whose letters are all of this script, as Unicode names it (`latin`).
    """

    keep: Literal["calibration", "expected", "file", "script"] = "calibration"
    min_count: int = Field(default=1, ge=1)
    lost: float = Field(default=0.004, gt=0, lt=1)
    file: Path | None = None
    script: str | None = None


def calibrated(config: Config) -> bool:
    """Whether the result depends on the calibration rows."""
    del config
    return True


def seeded(config: Config) -> bool:
    """Whether the result depends on the seed."""
    del config
    return False


def profiled(config: Config) -> bool:
    """Whether the result depends on the profile."""
    del config
    return False


def apply(artifact: Artifact, config: Config, context: Context) -> Artifact:
    """Cut the vocabulary; see the module.

    Raises:
        CompressError: the model has no vocabulary, its tokenizer cannot be cut, or nothing would go.
    """
    source, target = artifact.folder, context.folder
    rows = weights.embedding_rows(source, artifact.task)
    axes = weights.vocabulary_axes(source, artifact.task)
    copy_sidecars(source, target, text=True)
    document = read_json(target / "tokenizer.json", code="tokenizer-invalid")
    tokenizer.refuse_beyond(document, rows)
    counts = _counts(context.calibration.rows(), target, artifact.task)
    wanted = _wanted(config, document, counts, artifact, target)
    numbers = _numbers(wanted, document, target, rows)
    files.write_tokenizer(target, tokenizer.cut(document, numbers), numbers)
    tokenizer.check(document, (target / "tokenizer.json").read_text(encoding="utf8"), numbers)
    files.renumber_configs(target, numbers, rows=rows)
    weights.write_cut(source, target, axes, sorted(numbers, key=lambda number: numbers[number]))
    load_module(target, artifact.task)  # refuses what does not fit together
    told = _told(document, numbers, counts)
    if config.keep == "expected":
        told += _lacked(config, document, context.calibration.rows(), artifact)
    context.progress.note(told)
    return artifact.at(target)


def kept_shares(config: Config, artifact: Artifact, rows: Sequence[Row]) -> dict[str, float]:
    """For `plan`: the share that stays of each stored tensor with an axis of tokens, by its name. With `keep:
    expected` the embedding is read, the one weight that a plan reads.

    Raises:
        CompressError: as `apply` does.
    """
    folder, task = artifact.folder, artifact.task
    total = weights.embedding_rows(folder, task)
    document = read_json(folder / "tokenizer.json", code="tokenizer-invalid")
    wanted = _wanted(config, document, _counts(rows, folder, task), artifact, folder)
    numbers = _numbers(wanted, document, folder, total)
    return dict.fromkeys(weights.vocabulary_axes(folder, task), len(numbers) / total)


def _numbers(wanted: set[int], document: Document, folder: Path, rows: int) -> dict[int, int]:
    """From the ids of tokens that stay, the `wanted` ones among them, to their new ones.

    Raises:
        CompressError: all tokens stay, or the padding token would move where positions count from it.
    """
    tokens = set(tokenizer.all_pieces(document).values())
    named = files.config_ids(folder) & set(range(rows))
    fixed = files.fixed_ids(folder)
    kept = tokenizer.closed(document, (wanted | named | fixed) & tokens)
    if kept == tokens:
        message = f"each of the {len(tokens)} tokens is needed"
        raise CompressError("nothing-to-quantize", message, hint="raise min_count or lost")
    numbers = tokenizer.numbered(kept)
    # An id that has a row but no token keeps a row, behind all tokens.
    for number in sorted(named - tokens):
        numbers[number] = len(numbers)
    moved = [number for number in fixed if numbers.get(number) != number]
    if moved:
        message = f"this model counts positions from its padding token {max(fixed)}, which would move"
        raise CompressError("tokenizer-unsupported", message, hint="leave prune.vocabulary out")
    return numbers


def _wanted(
    config: Config, document: Document, counts: Counter[int], artifact: Artifact, folder: Path
) -> set[int]:
    found: set[int] = set()
    if config.keep == "expected":
        table = weights.embedding(artifact.folder, artifact.task)
        found |= expected.needed(document, counts, table, lost=config.lost)
    if config.keep == "calibration":
        found |= {number for number, count in counts.items() if count >= config.min_count}
    if config.keep == "file":
        found |= _listed(config, document, folder)
    if config.script is not None:
        found |= of_script(document, config.script)
    elif config.keep == "script":
        message = "step 'prune.vocabulary': `keep: script` names no `script`"
        raise CompressError("step-invalid", message, hint="write `script: latin`")
    return found


def _listed(config: Config, document: Document, folder: Path) -> set[int]:
    if config.file is None or not config.file.is_file():
        message = f"step 'prune.vocabulary': no file {config.file}"
        raise CompressError("step-invalid", message, hint="write `file: PATH` beside `keep: file`")
    lines = [line for line in read_text(config.file, code="step-invalid").splitlines() if line.strip()]
    pieces = tokenizer.all_pieces(document)
    texts = [{"text": line} for line in lines if line not in pieces]
    return {pieces[line] for line in lines if line in pieces} | set(_counts(texts, folder, "fill-mask"))


def _counts(rows: Sequence[Row], folder: Path, task: str) -> Counter[int]:
    """How often each token occurs in rows, none of which is cut short."""
    text = load_text(folder, task=task, inputs=[TensorSpec("input_ids", "int64", (None, None))])
    text.tokenizer.no_truncation()
    counts: Counter[int] = Counter()
    for start in range(0, len(rows), _BATCH):
        for encoding in text.encodings(rows[start : start + _BATCH]):
            counts.update(encoding.ids)
    return counts


def _lacked(config: Config, document: Document, rows: Sequence[Row], artifact: Artifact) -> str:
    """What text like the data lacks, as parts of it tell of each other."""
    size = -(-len(rows) // _PARTS)
    slices = [rows[start : start + size] for start in range(0, len(rows), max(size, 1))]
    if len(slices) < 2:
        return ""
    parts = [_counts(one, artifact.folder, artifact.task) for one in slices]
    table = weights.embedding(artifact.folder, artifact.task)
    share = expected.lacked(document, parts, table, lost=config.lost)
    return f"; by what the others need, each of its {len(parts)} parts would lack {share:.2%}"


def _told(document: Document, numbers: Mapping[int, int], counts: Counter[int]) -> str:
    total, gone = sum(counts.values()), sum(count for one, count in counts.items() if one not in numbers)
    share = f"; {gone / total:.2%} of the calibration text's tokens are cut anew" if total else ""
    return f"vocabulary: {len(numbers):,} of {len(tokenizer.all_pieces(document)):,} tokens kept{share}"
