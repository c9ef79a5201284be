"""`compress doctor`: is everything there that the other verbs need?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from compress.cli import options as o
from compress.cli.console import Console

if TYPE_CHECKING:
    from pathlib import Path

_LITTLE_SPACE = 2_000_000_000
"""Free bytes in the cache below which a model of ordinary size may not fit with its candidates."""


def doctor(json: o.Json = False) -> None:
    """Check packages, extras, the host, the cache and the Hub's settings; exit 2 where something is wrong."""
    document = examine()
    console = Console(as_json=json)
    if json:
        console.json(document)
    else:
        from compress.cli.machine_tables import doctor_tables

        console.print(*doctor_tables(document))
        for problem in document["problems"]:
            console.error(f"error[{problem['code']}]: {problem['message']}", problem["hint"])
    if document["problems"]:
        raise typer.Exit(2)


def examine() -> dict[str, Any]:
    """Everything that is checked, and under `problems` what keeps the tool from working."""
    import platform

    from compress.measure.host import detect_host
    from compress.measure.installation import extras, needed

    packages, optional = needed(), extras()
    cache = _cache()
    return {
        "python": platform.python_version(),
        "packages": [{**vars(one), "fits": one.fits} for one in packages],
        "extras": [{"name": one.name, "installed": one.fits, "install": one.command} for one in optional],
        "host": detect_host().facts(),
        "providers": _providers(),
        "cache": cache,
        "hub": _hub(),
        "problems": [
            *(_package_problem(one.name, one.wanted, one.found) for one in packages if not one.fits),
            *_cache_problems(cache),
        ],
    }


def _providers() -> list[str]:
    """What onnxruntime can run on, or nothing where it cannot be imported (its package says why)."""
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())


def _hub() -> dict[str, Any]:
    """Where Hub files are kept and whether the Hub may be asked."""
    from huggingface_hub import constants

    return {"offline": bool(constants.HF_HUB_OFFLINE), "cache": str(constants.HF_HUB_CACHE)}


def _cache() -> dict[str, Any]:
    import os
    import shutil

    from compress.pipeline.cache import cache_folder

    folder = cache_folder()
    there = _nearest(folder)
    writable = os.access(there, os.W_OK)
    return {"folder": str(folder), "writable": writable, "free_bytes": shutil.disk_usage(there).free}


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _package_problem(name: str, wanted: str, found: str | None) -> dict[str, str]:
    state = f"{name} {found} is installed, {wanted} is needed" if found else f"{name} is not installed"
    return {"code": "package-missing", "message": state, "hint": f"pip install '{name}{wanted}'"}


def _cache_problems(cache: dict[str, Any]) -> list[dict[str, str]]:
    hint = "set COMPRESS_CACHE to another folder"
    if not cache["writable"]:
        message = f"the cache {cache['folder']} cannot be written"
        return [{"code": "cache-unwritable", "message": message, "hint": hint}]
    if cache["free_bytes"] < _LITTLE_SPACE:
        from compress.core.units import human_bytes

        message = f"{human_bytes(cache['free_bytes'])} are free for the cache {cache['folder']}"
        return [{"code": "no-space", "message": message, "hint": hint}]
    return []


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(doctor)
