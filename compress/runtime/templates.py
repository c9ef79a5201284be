"""Chat templates within limits: a process that renders them, killed when it is late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

from compress.core.errors import CompressError
from compress.core.visible import visible
from compress.runtime.template_limits import OUTPUT, SECONDS

_LONGEST_ANSWER = 8 * OUTPUT
"""Characters of a reply: JSON writes some characters as six."""


class Renderer:
    """Renders templates one at a time, in a process that is started when there is none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def render(self, template: str, values: dict[str, Any]) -> str:
        """Render a template of a model.

        Args:
            template: Jinja's source.
            values: The variables, of JSON's types.

        Returns:
            The text.

        Raises:
            CompressError: The template fails, or exceeds one of `template_limits`.
        """
        with self._lock:
            reply = self._ask(json.dumps({"template": template, "values": values}))
        if "text" not in reply:
            message = f"this model's chat template fails: {visible(reply['error'])}"
            raise CompressError("chat-unsupported", message, hint="leave chat out")
        return reply["text"]

    def _ask(self, request: str) -> dict[str, str]:
        process = self._process or self._start()
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            assert process.stdin is not None
            process.stdin.write(request + "\n")
            process.stdin.flush()
            line = _line(process)
        except OSError:  # it died while it read
            line = ""
        finally:
            timer.cancel()
        if line:
            return dict(json.loads(line))
        self._process = None
        _end(process)
        return {"error": f"it takes more than {SECONDS} seconds" if late.is_set() else "its process died"}

    def _start(self) -> subprocess.Popen[str]:
        from compress.runtime import template_process  # Jinja is needed for chats alone

        # -P: a module in the working folder must not stand in for one that is installed.
        command = [sys.executable, "-P", "-m", template_process.__name__]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, encoding="utf8", env=_environment()
        )
        weakref.finalize(self, _end, process)
        if not _line(process):
            _end(process)
            message = "the process that renders chat templates does not start"
            raise CompressError("chat-unsupported", message, hint="see `compress doctor`")
        self._process = process
        return process


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline(_LONGEST_ANSWER)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            try:
                stream.close()
            except OSError:  # what was not read yet is lost with its reader
                continue


def _environment() -> dict[str, str]:
    """This process's environment, with the place of this package."""
    package = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([package, known] if known else [package])}
