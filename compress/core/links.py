"""Where symbolic links lead: inside their folder, or to the Hub cache's own files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def stays_inside(folder: Path, path: Path) -> bool:
    """Tell whether `path`, with all links followed, is in `folder`.

    The Hub cache keeps a model's files under `blobs` and links to them from `snapshots/REVISION`; those
    links count as inside.

    Args:
        folder: A model's folder.
        path: A path in it, which need not exist.

    Returns:
        False for links out, links that lead nowhere but to themselves, and names that are none.
    """
    try:
        root, target = folder.resolve(), path.resolve()
        target.exists()  # which fails on names that are too long for the system
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a null character
        return False
    cached = root.parent.name == "snapshots" and target.is_relative_to(root.parents[1] / "blobs")
    return cached or target.is_relative_to(root)
