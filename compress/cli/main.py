"""The `compress` command: verbs, and what becomes of errors."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import typer

from compress.cli.console import Console
from compress.core.errors import CompressError, ExitCode
from compress.core.storage import disk_error
from compress.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence


def build() -> typer.Typer:
    """The application with every verb. Verbs import what they need when they run."""
    from compress.cli import verbs

    app = typer.Typer(
        name="compress",
        help="Make a model smaller and prove that it is still good.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(root)
    verbs.register(app)
    return app


def _print_version(asked: bool) -> None:
    if asked:
        Console().print(f"compress {VERSION}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Make a model smaller and prove that it is still good."""
    del version


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (the entry point passes it to `sys.exit`)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # Advice about itself (kernels that could be installed). Read at its import, in children too.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        result = build()(args=words, standalone_mode=False, prog_name="compress")
    except CompressError as error:
        return _failed(disk_error(error) or error, words)
    except KeyboardInterrupt:
        result = ExitCode.INTERRUPTED
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of Rust (tokenizers, safetensors) is no Exception
        return _usage_or_internal(error, words)
    if result == ExitCode.INTERRUPTED:  # also typer's answer to Ctrl-C, which it takes itself
        Console().error("interrupted", _interrupted_hint(words))
    return int(result or 0)


def _interrupted_hint(words: Sequence[str]) -> str:
    """Say what is left of a run; other commands keep nothing."""
    if "run" not in words[:1]:
        return ""
    from compress.pipeline.cache import cache_folder

    return f"finished steps are kept in {cache_folder()}: the same command goes on from there"


def _failed(error: CompressError, words: Sequence[str]) -> int:
    if "--debug" in words:
        raise error
    Console().error(str(error), error.hint)
    return int(error.exit_code)


def _usage_or_internal(error: BaseException, words: Sequence[str]) -> int:
    code = getattr(error, "exit_code", None)
    if hasattr(error, "format_message"):
        message = error.format_message()
        if message:
            Console().error(f"error[usage]: {message}", "see `compress --help`")
        return int(ExitCode.USER)
    if isinstance(code, int):  # typer.Exit, click's Abort
        return code
    disk = disk_error(error)
    if disk is not None:
        return _failed(disk, words)
    if "--debug" in words:
        raise error
    first = (str(error).splitlines() or [""])[0]
    Console().error(
        f"error[internal]: {type(error).__name__}: {first}", "run again with --debug and report it"
    )
    return int(ExitCode.INTERNAL)


def entry() -> None:
    """The console script. With `--debug` errors come out with their traceback, escapes in it shown."""
    try:
        sys.exit(main())
    except Exception:
        Console().traceback(traceback.format_exc())
        sys.exit(1)
