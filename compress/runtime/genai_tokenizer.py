"""Whether ONNX Runtime GenAI's tokenizer, which other programs use, reads texts as tokenizer.json does.

It is asked in a process of its own: it has crashed on tokenizers that it cannot read, which nobody can catch.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from compress.core.visible import visible
from compress.runtime.decoder import genai_runtime
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_INSTEAD = "programs that use it should take token ids from tokenizer.json, as compress.load does"
_LONGEST_S = 120


def told_genai(folder: Path, texts: Sequence[str]) -> list[str]:
    """Say how many texts GenAI's tokenizer reads otherwise.

    Args:
        folder: A decoder's artifact.
        texts: What is compared, with and without the special tokens around a text.

    Returns:
        One line, or none where all agree.
    """
    answer = _asked(folder, texts)
    if isinstance(answer, str):
        return [f"ONNX Runtime GenAI cannot read this tokenizer ({answer}): {_INSTEAD}"]
    ours = load_tokenizer(folder)
    ours.no_truncation()
    pairs = zip(texts, answer, strict=True)
    different = [text for text, ids in pairs if ids not in _readings(ours, text)]
    if not different:
        return []
    return [
        f"ONNX Runtime GenAI's tokenizer reads {len(different):,} of {len(texts):,} texts otherwise, first "
        f"{visible(repr(different[0][:40]))}: {_INSTEAD}"
    ]


def _asked(folder: Path, texts: Sequence[str]) -> list[list[int]] | str:
    """Token ids of each text by GenAI's tokenizer, or why there are none."""
    command = [sys.executable, "-P", "-m", __name__]
    request = json.dumps({"folder": str(folder), "texts": list(texts)})
    try:
        child = subprocess.run(command, input=request.encode(), capture_output=True, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        return "it takes too long"
    if child.returncode:
        return f"it ended with {child.returncode}"
    answer = json.loads(child.stdout)
    return visible(answer) if isinstance(answer, str) else list(answer)


def _readings(tokenizer: Any, text: str) -> list[list[int]]:
    return [tokenizer.encode(text, add_special_tokens=special).ids for special in (True, False)]


def main() -> None:
    """Answer one request of `_asked` on stdout."""
    request = json.load(sys.stdin)
    try:
        tokenizer = genai_runtime().Tokenizer(request["folder"])
        answer: Any = [[int(number) for number in tokenizer.encode(text)] for text in request["texts"]]
    except RuntimeError as error:
        answer = " ".join(str(error).split())[:120]
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
