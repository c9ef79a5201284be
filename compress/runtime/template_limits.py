"""What the rendering of a chat template may take."""

from __future__ import annotations

SECONDS = 2
"""Of processor time for a text, and of any time."""

OUTPUT = 2**20
"""Bytes of a text."""

MEMORY = 256 * 2**20
"""Bytes of memory, without those that the process has taken before."""
