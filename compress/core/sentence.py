"""Where sentence-transformers keeps what its own tools, models and runtimes all have to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_TRANSFORMER = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Names of the Transformer's settings by version and architecture; the first that exists counts."""


def transformer_settings(folder: Path) -> Path:
    """Find the settings of the Transformer in `folder`: its longest text, whether it lower-cases."""
    present = (folder / name for name in _TRANSFORMER if (folder / name).exists())
    return next(present, folder / _TRANSFORMER[0])


def module_kind(path: str) -> str | None:
    """Name the class of a module that `modules.json` lists by its dotted `path`.

    None where it is not of sentence-transformers itself: another package's `Pooling` may do anything.
    """
    package, _, kind = path.rpartition(".")
    return kind if package.partition(".")[0] == "sentence_transformers" else None
