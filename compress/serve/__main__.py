"""Serve an artifact: `python -m compress.serve FOLDER [--host H] [--port P] [--threads N] [--workers N]`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import uvicorn

from compress.core.errors import CompressError
from compress.serve.app import create_app
from compress.serve.model import Served
from compress.serve.rows import Limits

_GRACE_S = 20
"""Seconds that requests which are being answered get when the server is told to stop."""


def main() -> int:
    """Serve until SIGTERM or SIGINT, then answer what was begun and end with 0."""
    words = _words()
    try:
        model = Served(words.folder, threads=words.threads)
    except CompressError as error:
        sys.stderr.write(f"{error}\nhint: {error.hint}\n")
        return int(error.exit_code)
    app = create_app(model, Limits(workers=words.workers))
    # uvicorn raises the signal that stopped it again when it is done: then it has been dealt with.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        host=words.host,
        port=words.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    uvicorn.Server(config).run()
    return 0


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m compress.serve")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="threads of one request, 0: one for each core that this process may use",
    )
    parser.add_argument("--workers", type=int, default=2, help="requests that are computed at once")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
