"""The published folder: complete or absent."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from compress.core.copies import clone_or_copy
from compress.core.errors import CompressError
from compress.core.paths import folder_files, refuse_existing
from compress.core.publication import published
from compress.core.seal import is_sealed, seal_path
from compress.passes.export.fuse import FUSE_FACTS
from compress.passes.export.onnx import EXPORT_FACTS
from compress.passes.gptq_settings import FACTS as GPTQ_FACTS
from compress.passes.gptq_settings import SENSITIVITY
from compress.pipeline.execute import STEP_FACTS
from compress.pipeline.space import refuse_output

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_PRIVATE = {STEP_FACTS, EXPORT_FACTS, FUSE_FACTS, GPTQ_FACTS, SENSITIVITY}


def publish(
    source: Path,
    target: Path,
    *,
    documents: Callable[[Path], Mapping[str, str]],
    seal: Callable[[Path], None],
    replace: bool,
    note: Callable[[str], None] = warnings.warn,
) -> None:
    """Copy an artifact to `target`, add the `documents` made for it, let `seal` write the manifest over
    all of it, and rename.

    Files are copied, never linked: a user may edit what is published without touching the cache.

    Raises:
        CompressError: `source` is not what was measured any more, or `target` exists and may not be
            replaced, cannot be written, or has no room.
    """
    refuse_existing(target, replace=replace)
    _refuse_damaged(source)
    names = [name for name in folder_files(source) if name.as_posix() not in _PRIVATE]
    refuse_output(target, sum((source / name).stat().st_size for name in names))
    with published(target, replace=replace, note=note) as beside:
        for name in names:
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            clone_or_copy(source / name, beside / name)
        for file, text in documents(beside).items():
            (beside / file).write_text(text, encoding="utf8")
        seal(beside)


def _refuse_damaged(folder: Path) -> None:
    if seal_path(folder).exists() and not is_sealed(folder):
        message = f"{folder} was damaged after it had been measured"
        raise CompressError("cache-damaged", message, hint="run again: it is made again")
