"""Memory that nobody uses, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Let go of what the C library keeps of freed tensors, where it can be told to (glibc). Batches differ
    in length, so that pieces of one do not fit the next: 1.4 of 3.4 GB after three steps of a language model.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(ctypes.c_size_t(0))
