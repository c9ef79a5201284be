"""The verbs, in the order in which `--help` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.cli import (
    bench,
    cache,
    check,
    compare,
    doctor,
    eval,
    inspect,
    package,
    plan,
    profiles,
    recipes,
    report,
    run,
    sample,
    verify,
    vote,
)

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add every verb to the application."""
    verbs = (
        run,
        plan,
        inspect,
        sample,
        package,
        bench,
        eval,
        compare,
        vote,
        report,
        check,
        verify,
        profiles,
        recipes,
        doctor,
        cache,
    )
    for verb in verbs:
        verb.register(app)
