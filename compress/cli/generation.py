"""Text as a decoder writes it: to the terminal piece by piece, with its speed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError

if TYPE_CHECKING:
    from compress.cli.console import Console
    from compress.pipeline.subjects import Subject


def show(subject: Subject, prompt: str, *, tokens: int, chat: bool, console: Console) -> dict[str, Any]:
    """Let `subject` continue a prompt on stdout (unless one JSON document is asked for there).

    Returns:
        The text, how many pieces of it came, and the seconds to the first and to the last.

    Raises:
        CompressError: it is no decoder with a cache, or the prompt is too long.
    """
    from compress.graph.cached import SETTINGS
    from compress.runtime.generate import load_decoder

    if not (subject.folder / SETTINGS).is_file():
        message = f"'{subject.name}' does not generate"
        raise CompressError("task-unsupported", message, hint="--prompt is for artifacts of decoders")
    model = load_decoder(subject.folder, threads=0)
    start, first, pieces = time.perf_counter(), None, []
    for piece in model.stream(prompt, tokens=tokens, chat=chat):
        first = first or time.perf_counter() - start
        pieces.append(piece)
        if not console.as_json:
            console.write(piece)
    seconds = time.perf_counter() - start
    if not console.as_json:
        console.out("")
    console.note(
        f"{subject.name}: first piece after {(first or seconds) * 1e3:.0f} ms, all in {seconds:.2f} s"
    )
    return {"prompt": prompt, "text": "".join(pieces), "first_s": first, "seconds": seconds}
