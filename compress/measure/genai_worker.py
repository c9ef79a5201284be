"""A decoder in ONNX Runtime GenAI in a process of its own: `compress.measure.worker` over its folder.

python -m compress.measure.genai_worker FOLDER [--threads N]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from compress.measure.worker import serve
from compress.runtime.decoder import Decoder

if TYPE_CHECKING:
    from compress.measure.worker import Call, Feeds, Prepare


def main() -> None:
    """Serve the folder that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    words = parser.parse_args()
    serve(lambda: _prepare(Decoder(words.folder, threads=words.threads)))


def _prepare(decoder: Decoder) -> Prepare:
    def bound(feeds: Feeds) -> Call:
        ids, steps = feeds["input_ids"].ravel(), int(feeds["steps"])
        if not steps:
            return lambda: decoder.session(ids, longest=len(ids) + 1).next()
        session = decoder.session(ids, longest=len(ids) + steps)

        def call() -> object:
            if session.is_full:
                session.rewind()
            return session.next()

        return call

    return bound


if __name__ == "__main__":
    main()
