"""`compress package`: an artifact as something that is deployed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console


class Form(StrEnum):
    """What an artifact can be packaged as."""

    DOCKER = "docker"


def package(
    artifact: o.ArtifactFolder,
    form: Annotated[Form, typer.Option("--as", help="What to make.")] = Form.DOCKER,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The folder to write.", show_default="ARTIFACT-docker"),
    ] = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Write a Dockerfile with a small server that runs ARTIFACT with ONNX Runtime alone."""
    del debug
    from compress.core.paths import folder_files
    from compress.core.units import human_bytes
    from compress.pipeline.package import package_docker

    console = Console(as_json=json, verbosity=-quiet)
    folder = package_docker(artifact, out or artifact.with_name(f"{artifact.resolve().name}-{form}"))
    size = sum((folder / name).stat().st_size for name in folder_files(folder))
    if json:
        console.json({"folder": str(folder), "bytes": size})
        return 0
    console.out(str(folder))
    console.note(f"{human_bytes(size)} to build from: docker build -t model {folder}")
    console.note(f"or without a container: cd {folder} && python -m compress.serve model")
    return 0


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(package)
