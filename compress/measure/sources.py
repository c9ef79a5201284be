"""Which files of this package a part of it needs, and which other packages: read from the source.

Imports are found in the syntax tree, those inside functions among them, and not those for type checkers
alone. So a server can be given what it runs on, and nothing that asks for torch.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = "compress"
_ROOT = Path(__file__).parents[1]
_LEFT_OUT = frozenset({"compress.api"})
"""`compress.run` and `compress.load` by their short names, which would need everything."""


@dataclass(frozen=True)
class Closure:
    """`files` of the package by their path from its parent `root`, and the top modules from `others`."""

    files: tuple[Path, ...]
    root: Path
    others: frozenset[str]


def closure(modules: Iterable[str]) -> Closure:
    """What `modules` need, directly and through each other."""
    found: dict[str, Path] = {}
    others: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if name in found or name in _LEFT_OUT or path is None:
            continue
        found[name] = path
        own, foreign = _imports(path)
        others |= foreign
        waiting += [*own, *_parents(name)]
    files = sorted(path.relative_to(_ROOT.parent) for path in found.values())
    return Closure(tuple(files), _ROOT.parent, frozenset(others - sys.stdlib_module_names))


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file(name: str) -> Path | None:
    """The file of a module of this package, None where it is no module (but something inside one)."""
    place = _ROOT.joinpath(*name.split(".")[1:])
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> tuple[list[str], set[str]]:
    own: list[str] = []
    foreign: set[str] = set()
    for name in _named(ast.parse(path.read_text(encoding="utf8"))):
        if name.split(".")[0] == PACKAGE:
            own.append(name)
        else:
            foreign.add(name.split(".")[0])
    return own, foreign


def _named(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, and every name that is imported from one, as if it were a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _for_types(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from _named(node)


def _for_types(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
