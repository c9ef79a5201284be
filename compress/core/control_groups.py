"""The control groups of Linux that this process is in: what limits it may be set by any of them."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def groups_around(controller: str = "") -> list[Path]:
    """From this process's own group to the root of what is mounted here, of version 2; of version 1 with the
    name of a `controller`, which each have a tree of their own. The root alone where the own one is not to be
    seen, as in containers; none where nothing is mounted.
    """
    root = _ROOT / controller
    if not root.is_dir():
        return []
    folder = root / _own(controller)
    folders = [folder, *folder.parents] if folder.is_dir() else [root]
    return [one for one in folders if one.is_relative_to(root)]


def _own(controller: str) -> str:
    """The path of this process's group below a root; each line has a number, controllers and a path."""
    lines = _OWN.read_text().splitlines() if _OWN.exists() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        if controller in controllers.split(","):
            return path.strip("/")
    return ""
