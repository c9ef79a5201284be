"""What the checks of a checkpoint concluded, kept so that the next plan or run of it need not import torch.

Checks build the model without weights and its tokenizer, which takes seconds of imports. Their conclusion
depends on the checkpoint's files, the named task, the installed packages and this tool's code, which its
name in the cache is the digest of. Refusals are not kept: a missing package may be there the next time.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from compress.core.cached import Momentary, take, use_whole
from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.links import stays_inside
from compress.core.paths import folder_digest, folder_files
from compress.core.profile import ModelKind
from compress.core.regular_files import read_json
from compress.model.resolve import meaningful_files, model_of, understand
from compress.model.safety import weight_files
from compress.model.sizes import Sizes, text_sizes
from compress.model.tasks import TASKS
from compress.model.traceable import refuse_untraceable
from compress.pipeline.cache import package_versions, step_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compress.model.resolve import Model, Source

_FOLDER, _FILE = "verdicts", "verdict.json"
_READERS = (
    "torch", "transformers", "optimum", "tokenizers", "safetensors", "sentencepiece", "tiktoken", "protobuf",
    "pillow", "torchvision", "torchaudio", "soundfile", "librosa", "timm",
)  # fmt: skip
"""Packages by which a checkpoint, a tokenizer or a processor is read as something else, or not at all."""


class Verdict(Frozen):
    """What the checks found, of a checkpoint that passed them."""

    folder: str | None
    """The rewritten checkpoint, below the cache; None where the given one is used as it is."""
    task: str
    kind: ModelKind
    sizes: Sizes | None
    notes: tuple[str, ...]
    """What the user was told."""


def examined(source: Source, *, task: str | None, cache: Path, note: Callable[[str], None]) -> Model:
    """Tell what a checkpoint is, and refuse what a run would refuse about the model itself.

    Args:
        source: The checkpoint.
        task: The task that the user named.
        cache: Where verdicts and rewritten checkpoints are kept.
        note: Takes a line for each thing that is not as its files say.

    Raises:
        CompressError: It is damaged, not whole, of an unsupported kind, or its tokenizer or processor is.
    """
    entry = cache / _FOLDER / _key(source, task)
    verdict = _read(entry)
    folder = None if verdict is None else _folder(verdict, source, cache)
    if verdict is None or folder is None:
        return _examine(source, task=task, cache=cache, note=note, entry=entry)
    for line in verdict.notes:
        note(line)
    return model_of(
        source, folder, task=verdict.task, kind=verdict.kind, sizes=verdict.sizes, named=bool(task)
    )


def _examine(
    source: Source, *, task: str | None, cache: Path, note: Callable[[str], None], entry: Path
) -> Model:
    """Run the checks and keep what they conclude in `entry`."""
    # These import torch, which takes seconds: what is wrong with settings or folders was said before.
    from compress.model.identity import check_identity
    from compress.pipeline.ready import check_ready
    from compress.pipeline.tokenizer import check_tokenizer

    told = _Told(note)
    model = understand(source, task=task, cache=cache, note=told)
    refuse_untraceable(model.config)
    if model.kind is ModelKind.DECODER:
        model = replace(model, sizes=text_sizes(model.config))
    check_tokenizer(model, note=told)
    check_identity(model, note=told)
    check_ready(model)
    rewritten = None if model.folder == source.folder else str(model.folder.relative_to(cache))
    verdict = Verdict(
        folder=rewritten, task=model.task, kind=model.kind, sizes=model.sizes, notes=tuple(told.lines)
    )
    with suppress(CompressError, OSError):  # a cache that is full or read-only costs time, not the plan
        _write(verdict, entry, note=note)
    return model


class _Told:
    """Say lines to the user, and remember those that are about the checkpoint."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self._note(line)
        if not isinstance(line, Momentary):
            self.lines.append(line)


def _key(source: Source, task: str | None) -> str:
    """Name a verdict by all that shapes it: files that checks read by content, others by size and time."""
    folder = source.folder
    read = meaningful_files(folder)
    stats = [(name, (folder / name).stat()) for name in folder_files(folder) if name not in set(read)]
    others = json.dumps([(name.as_posix(), stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    inputs = {
        "folder": str(folder.resolve()),
        "name": source.name or "",
        "others": hashlib.sha256(others.encode(errors="surrogateescape")).hexdigest(),
    }
    config = {"task": task, "packages": package_versions(_READERS)}
    return step_key(folder_digest(folder, read), step="verdict", config=config, inputs=inputs)


def _read(entry: Path) -> Verdict | None:
    """Read an earlier plan's verdict; None where there is none, or it is not as it was written."""
    hold = use_whole(entry)
    if hold is None:
        return None
    with hold:
        try:
            verdict = Verdict.model_validate(read_json(entry / _FILE))
        except (CompressError, OSError, ValidationError):
            return None
    return verdict if verdict.task in TASKS else None


def _write(verdict: Verdict, entry: Path, *, note: Callable[[str], None]) -> None:
    def make(beside: Path, lock: int) -> None:
        del lock
        (beside / _FILE).write_text(verdict.model_dump_json(), encoding="utf8")

    take(entry, make, name="verdict on the model", note=note).release()


def _folder(verdict: Verdict, source: Source, cache: Path) -> Path | None:
    """The checkpoint that a verdict is about, held against `cache clean`; None where it is gone or damaged.

    The weights of a checkpoint with another tokenizer are links, which may lead to a second folder.
    """
    if verdict.folder is None:
        return source.folder
    folder = cache / verdict.folder
    if not stays_inside(cache, folder) or not folder.is_dir():
        return None
    holds = [use_whole(path) for path in (folder, *_linked(folder, cache))]
    whole = [hold for hold in holds if hold is not None]
    if len(whole) < len(holds):
        return None
    for hold in whole:
        hold.keep()
    return folder


def _linked(folder: Path, cache: Path) -> set[Path]:
    """Folders of the cache in which the weights of another one lie."""
    parents = {path.resolve().parent for path in weight_files(folder)}
    root = cache.resolve()
    return {cache / parent.relative_to(root) for parent in parents if parent.is_relative_to(root)} - {folder}
