from __future__ import annotations

import ast
import sys
from pathlib import Path

import compress.measure.worker as worker

ALLOWED = {"numpy", "compress"}


def test_calls_are_timed_one_by_one():
    made = []
    taken = worker.timed(lambda: made.append(1), 4)
    assert len(taken) == len(made) == 4
    assert all(isinstance(nanoseconds, int) and nanoseconds >= 0 for nanoseconds in taken)


def test_the_worker_needs_little():
    """It is to be sent to devices that have neither torch nor transformers."""
    tree = ast.parse(Path(worker.__file__).read_text(encoding="utf8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    outside = {str(name).partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert outside == ALLOWED
