"""Peak memory of this process, from its own first instruction on."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_rss_bytes() -> int:
    """The largest resident set of this process so far, in bytes.

    Why not `getrusage` on Linux: its `ru_maxrss` outlives `exec`, so that a small child of a large
    parent reports its parent's peak. `VmHWM` starts anew with the program.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return _from_rusage()


def _from_rusage() -> int:
    try:
        import resource
    except ImportError:  # Windows has none
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
