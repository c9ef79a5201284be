"""Refuse graphs that would make a runtime read other files or run other code than its own.

A graph names files (of tensors outside it) and operators (of any library that the process has loaded). Every
graph is looked at here before a runtime opens it: nodes of subgraphs and functions too, and tensors wherever
they are. The file is mapped and its weights are stepped over.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compress.core.errors import CompressError
from compress.core.links import stays_inside
from compress.core.regular_files import open_regular
from compress.graph.wire import fields

if TYPE_CHECKING:
    from pathlib import Path

    from compress.graph.wire import Buffer

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Of operators that the runtimes bring themselves. Functions that a graph defines may have any domain."""

_READS_FILES = {("com.microsoft", "EPContext")}
"""Operators whose attributes name a file, compiled code for an accelerator."""

_MOST_FIELDS = 2_000_000
"""Of a model, those that are visited: about 20 a node, and graphs in use have fewer than 50,000 nodes."""

_LONGEST_TEXT = 4096
"""Bytes of a name."""

_DEEPEST = 48
"""Levels of messages; a subgraph inside a node takes three."""

_NESTED = {
    "model": {7: "graph", 14: "entry", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external"},
}  # fmt: skip
"""By message, which of its fields hold what is looked into (onnx.proto's numbers)."""

_TEXTS = {
    "node": {4: "operator", 7: "domain"},
    "function": {1: "operator", 10: "domain"},
    "external": {1: "key", 2: "value"},
    "entry": {1: "key"},
}  # fmt: skip
"""By message, the texts that are read."""


@dataclass
class GraphFacts:
    """What a graph refers to."""

    operators: set[tuple[str, str]] = field(default_factory=set)
    """Domain and name, of every node."""
    functions: set[tuple[str, str]] = field(default_factory=set)
    """Domain and name, of every function that the graph itself defines."""
    files: set[str] = field(default_factory=set)
    """Names of files with tensors, as they are written."""
    settings: set[str] = field(default_factory=set)
    """Keys of the metadata."""


def check_graph(path: Path) -> GraphFacts:
    """Look through a graph before a runtime opens it.

    Args:
        path: The ONNX file.

    Returns:
        What it refers to, all of it harmless.

    Raises:
        CompressError: It is missing (`graph-missing`), no regular file or no ONNX (`graph-invalid`), has
            operators of foreign libraries (`operator-foreign`), or names files that are not beside it
            (`path-escapes`, `graph-incomplete`).
    """
    facts = _read(path)
    _refuse_foreign_operators(path, facts)
    for name in sorted(facts.files):
        _refuse_elsewhere(path, name)
    return facts


def scan(data: Buffer) -> GraphFacts:
    """Read what a serialized graph refers to.

    Raises:
        ValueError: The bytes are no ONNX model.
    """
    scanner = _Scanner(data)
    scanner.visit("model", 0, len(data))
    return scanner.facts


class _Scanner:
    """Visits the messages of a model in their order, with limits of their depth and number."""

    def __init__(self, data: Buffer) -> None:
        self.facts = GraphFacts()
        self._data = data
        self._count = 0

    def visit(self, message: str, start: int, end: int, depth: int = 0) -> None:
        """Note what a message and those inside it refer to."""
        if depth > _DEEPEST:
            raise ValueError(f"it is nested deeper than {_DEEPEST} levels")
        nested, texts = _NESTED.get(message, {}), _TEXTS.get(message, {})
        words: dict[str, list[str]] = {}
        for number, first, last in fields(self._data, start, end):
            self._count += 1
            if self._count > _MOST_FIELDS:
                raise ValueError(f"it has more than {_MOST_FIELDS:,} fields")
            if number in nested:
                self.visit(nested[number], first, last, depth + 1)
            elif number in texts:
                words.setdefault(texts[number], []).append(self._text(first, last))
        self._note(message, words)

    def _text(self, start: int, end: int) -> str:
        if end - start > _LONGEST_TEXT:
            raise ValueError(f"it has a name of {end - start:,} bytes")
        return bytes(self._data[start:end]).decode("utf8", "replace")

    def _note(self, message: str, words: dict[str, list[str]]) -> None:
        """Add what a message's texts say. A field that is written twice counts with each of its values."""
        facts = self.facts
        if message in ("node", "function"):
            target = facts.operators if message == "node" else facts.functions
            names, domains = words.get("operator", [""]), words.get("domain", [""])
            target.update((domain, name) for domain in domains for name in names)
        if message == "external" and "location" in words.get("key", []):
            facts.files.update(words.get("value", [""]))
        if message == "entry":
            facts.settings.update(words.get("key", []))


def _read(path: Path) -> GraphFacts:
    try:
        with open_regular(path, code="graph-invalid") as stream:
            if not os.fstat(stream.fileno()).st_size:  # nothing can be mapped
                raise ValueError("it is empty")
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                facts = scan(data)
    except FileNotFoundError:
        raise CompressError("graph-missing", f"no such file: {path}", hint="export it again") from None
    except (OSError, ValueError) as error:
        message = f"{path} is not an ONNX file: {error}"
        raise CompressError("graph-invalid", message, hint="export it again") from None
    if not facts.operators:
        message = f"{path} is not an ONNX file: it has no operator"
        raise CompressError("graph-invalid", message, hint="export it again")
    return facts


def _refuse_foreign_operators(path: Path, facts: GraphFacts) -> None:
    foreign = {pair for pair in facts.operators - facts.functions if pair[0] not in DOMAINS}
    refused = sorted(foreign | (facts.operators & _READS_FILES))
    if refused:
        domain, name = refused[0]
        message = f"{path} has an operator {name} of the domain '{domain}', which needs foreign code"
        raise CompressError("operator-foreign", message, hint=f"known domains: {', '.join(DOMAINS[1:])}")
    if "ort_config" in facts.settings:
        message = f"{path} brings settings of its own for ONNX Runtime (ort_config)"
        raise CompressError("operator-foreign", message, hint="remove them from its metadata")


def _refuse_elsewhere(path: Path, name: str) -> None:
    """Refuse a tensor file that is no regular file with a plain name in the graph's folder."""
    outer = path.with_name(name) if _is_plain(name) else None
    if outer is None or not stays_inside(path.parent, outer):
        message = f"{path} reads tensors from '{name}', which is not a file beside it"
        raise CompressError("path-escapes", message, hint="do not trust this model's files")
    try:
        open_regular(outer, code="graph-invalid").close()
    except FileNotFoundError:
        message = f"{path} reads tensors from '{name}', which is missing"
        raise CompressError("graph-incomplete", message, hint=f"put it beside {path.name}") from None


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and not set(name) & set('/\\:*?"<>|\0') and name.isprintable()
