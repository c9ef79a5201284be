"""Errors a person can act on, and the exit codes of the command line."""

from __future__ import annotations

from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """Exit codes of every command. CI jobs branch on them, so they never change meaning."""

    OK = 0
    BUDGET_MISSED = 1
    USER = 2
    INTERNAL = 3
    INCONCLUSIVE = 4
    INTERRUPTED = 130


class CompressError(Exception):
    """A failure that is told to the user in one line with a hint, without a traceback.

    `code` is a stable lower-case-with-dashes name (`data-empty`), `message` says what was found and
    what was expected, `hint` names the fix.
    """

    exit_code = ExitCode.USER

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"error[{code}]: {message}")
        self.code = code
        self.message = message
        self.hint = hint


class InternalError(CompressError):
    """Something this tool promised did not hold: an export that does not match its module, say."""

    exit_code = ExitCode.INTERNAL


class BudgetMissed(CompressError):
    """A budget was measured and missed; nothing was published."""

    exit_code = ExitCode.BUDGET_MISSED


class Inconclusive(CompressError):
    """There was too little evidence to pass or to fail a budget that the user set."""

    exit_code = ExitCode.INCONCLUSIVE


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `name`: the closest of `known`, or all of them when none is close."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
