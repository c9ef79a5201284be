"""`compress verify`: every byte against the manifest, then one call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.cli import options as o
from compress.cli.console import Console
from compress.core.errors import CompressError

if TYPE_CHECKING:
    import typer

_SHOWN = 3


def verify(
    artifact: o.ArtifactFolder, json: o.Json = False, quiet: o.Quiet = False, debug: o.Debug = False
) -> int:
    """Compare every byte of ARTIFACT with its manifest, then load it and run it once, as its users do."""
    del debug
    from compress.pipeline.manifest import read_manifest, verify_folder
    from compress.pipeline.probe import probe

    console = Console(as_json=json, verbosity=-quiet)
    manifest = read_manifest(artifact)
    problems = verify_folder(artifact)
    if problems:
        if json:
            console.json({"artifact": str(artifact), "ok": False, "problems": problems})
        raise _changed(problems)
    outputs = probe(artifact, task=manifest.task, runtime=manifest.runtime)
    if json:
        facts = {"artifact": str(artifact), "ok": True, "problems": [], "digest": manifest.digest}
        shapes = {name: list(shape) for name, shape in outputs.items()}
        console.json({**facts, "files": len(manifest.files), "runtime": manifest.runtime, "outputs": shapes})
    else:
        console.out(f"ok: {len(manifest.files)} files as published, runs on {manifest.runtime}")
        console.note(f"digest {manifest.digest}")
    return 0


def _changed(problems: list[str]) -> CompressError:
    rest = len(problems) - _SHOWN
    more = f"; and {rest} more" if rest > 0 else ""
    hint = "get the artifact again, or run `compress run` again"
    return CompressError("artifact-changed", "; ".join(problems[:_SHOWN]) + more, hint=hint)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(verify)
