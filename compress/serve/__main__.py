"""Serve an artifact: `python -m compress.serve FOLDER [--host H] [--port P] [--threads N] [--workers N]`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import uvicorn

from compress.core.errors import CompressError
from compress.serve.app import create_app
from compress.serve.connections import connections_within
from compress.serve.limits import Limits
from compress.serve.model import Served

_GRACE_S = 20
"""Seconds that requests which are being answered get when the server is told to stop."""

_FLAGS = {
    "workers": ("workers", "requests that are computed at once"),
    "max-tokens": ("new_tokens", "tokens that are written for one request at most"),
    "max-prompt": ("prompt_tokens", "tokens of a prompt at most"),
    "seconds": ("compute_s", "seconds that one request may compute"),
    "patience": ("patience_s", "seconds that a client has to send a request"),
    "connections": ("connections", "connections that are open at once"),
}
"""Flags that set a limit: its field and what it means."""


def main() -> int:
    """Serve until SIGTERM or SIGINT, then answer what was begun and end with 0."""
    words = _words()
    try:
        model = Served(words.folder, threads=words.threads)
    except CompressError as error:
        sys.stderr.write(f"{error}\nhint: {error.hint}\n")
        return int(error.exit_code)
    limits = _limits(words)
    app = create_app(model, limits)
    # uvicorn raises the signal that stopped it again when it is done: then it has been dealt with.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        host=words.host,
        port=words.port,
        http=connections_within(limits),
        ws="none",
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
    for name, (field, text) in _FLAGS.items():
        default = getattr(Limits, field)
        text = f"{text} ({default:g})"
        parser.add_argument(f"--{name}", dest=field, type=type(default), default=default, help=text)
    return parser.parse_args()


def _limits(words: argparse.Namespace) -> Limits:
    return Limits(**{field: getattr(words, field) for field, _ in _FLAGS.values()})


if __name__ == "__main__":
    sys.exit(main())
