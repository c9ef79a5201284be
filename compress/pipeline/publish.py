"""The published folder: complete or absent."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from compress.core.paths import folder_files, refuse_existing
from compress.core.publication import published
from compress.passes.export.fuse import FUSE_FACTS
from compress.passes.export.onnx import EXPORT_FACTS
from compress.passes.quantize.gptq import FACTS as GPTQ_FACTS
from compress.passes.quantize.gptq import SENSITIVITY
from compress.pipeline.execute import STEP_FACTS

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
) -> None:
    """Copy an artifact to `target`, add the `documents` made for it, let `seal` write the manifest over
    all of it, and rename.

    Files are copied, never linked: a user may edit what is published without touching the cache.

    Raises:
        CompressError: `target` exists and may not be replaced, or cannot be written.
    """
    refuse_existing(target, replace=replace)
    with published(target, replace=replace) as beside:
        for name in folder_files(source):
            if name.as_posix() not in _PRIVATE:
                (beside / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / name, beside / name)
        for file, text in documents(beside).items():
            (beside / file).write_text(text, encoding="utf8")
        seal(beside)
