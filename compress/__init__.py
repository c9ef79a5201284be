"""Make a model smaller and prove, side by side, that it is still good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compress.core.version import VERSION as __version__

if TYPE_CHECKING:
    from compress.api import load, run
    from compress.runtime.load import CutText

__all__ = ["CutText", "__version__", "load", "run"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `import compress` alone costs nothing.
    if name in ("load", "run"):
        from compress import api

        return getattr(api, name)
    if name == "CutText":
        from compress.runtime.load import CutText

        return CutText
    raise AttributeError(f"module 'compress' has no attribute '{name}'")
