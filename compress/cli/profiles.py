"""`compress profiles`: the targets that there are, and what this machine would be as one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compress.cli import options as o
from compress.cli.console import Console

if TYPE_CHECKING:
    from compress.core.profile import Profile
    from compress.measure.host import Host
    from compress.measure.probe import Throughput


def list_profiles(json: o.Json = False) -> None:
    """List the targets and whether figures taken on this machine are theirs."""
    from compress.core.profile import load_profile, profile_names
    from compress.measure.confinement import confinement_of
    from compress.measure.host import detect_host, differences

    host = detect_host()
    profiles = [load_profile(name) for name in profile_names()]
    reasons = {one.name: differences(one, host) for one in profiles}
    limits = {one.name: confinement_of(one, host).limits for one in profiles}
    console = Console(as_json=json)
    if json:
        console.json(
            {
                "profiles": [
                    {
                        **one.model_dump(mode="json"),
                        "differences": reasons[one.name],
                        "limits": [] if reasons[one.name] else list(limits[one.name]),
                    }
                    for one in profiles
                ]
            }
        )
    else:
        from compress.cli.machine_tables import profiles_table

        console.print(profiles_table(profiles, reasons, limits))


def show(
    name: Annotated[str, typer.Argument(help="A profile's name or file.")],
    json: o.Json = False,
) -> None:
    """Show one target with all its keys, as YAML that `--target` takes."""
    from compress.core.profile import load_profile

    profile = load_profile(name)
    console = Console(as_json=json)
    if json:
        console.json(profile.model_dump(mode="json"))
    else:
        console.document(_yaml(profile.model_dump(mode="json", exclude_none=True)))


def detect(
    save: Annotated[
        Path | None, typer.Option(metavar="FILE.yaml", help="Write a profile that --target takes.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Measure this machine: memory bandwidth, fp32 and int8 products (a few seconds)."""
    from compress.measure.host import detect_host

    console = Console(as_json=json, verbosity=-quiet)
    if save is not None:
        _refuse(save, overwrite=overwrite)
    host = detect_host()
    with console.track("measure this machine"):
        found, noise = _probe(host)
    for sentence in noise:
        console.warn(sentence)
    document = {"host": host.facts(), **vars(found), "noise": noise}
    if save is not None:
        _write(save, _yaml(_profile(save.stem, host, found).model_dump(mode="json", exclude_none=True)))
        console.note(f"wrote {save}: use it with --target {save}")
    if json:
        console.json(document)
    else:
        from compress.cli.machine_tables import detected_table

        console.print(detected_table(document))


def _probe(host: Host) -> tuple[Throughput, list[str]]:
    """Figures of this host, and what made them less certain."""
    import time

    from compress.measure.noise import Usage, machine_noise
    from compress.measure.probe import probe

    before, used = Usage.now(), time.process_time()
    found = probe(threads=host.cores)
    return found, machine_noise(before, Usage.now(), ours=time.process_time() - used)


def _profile(name: str, host: Host, found: Throughput) -> Profile:
    """This host as a target: the default one's recipes, with what was found filled in."""
    from compress.core.profile import load_profile

    return load_profile("cpu").model_copy(
        update={
            "name": name,
            "description": host.describe(),
            "architecture": host.architecture,
            "isa": tuple(host.facts()["isa"]),
            "cores": host.cores,
            "memory_gib": host.memory_gib,
            "int8_saturates": host.int8_saturates,
            "bandwidth_gb_s": round(found.bandwidth_gb_s, 1),
            "peak_gop_s": {dtype: round(figure, 1) for dtype, figure in found.peak_gop_s.items()},
        }
    )


def _refuse(path: Path, *, overwrite: bool) -> None:
    from compress.core.errors import CompressError

    if path.suffix not in (".yaml", ".yml"):
        message = f"a profile's file ends in .yaml, found '{path.name}'"
        raise CompressError("output-invalid", message, hint=f"pass --save {path.stem or 'host'}.yaml")
    if path.exists() and not overwrite:
        message = f"{path} exists already"
        raise CompressError("output-exists", message, hint="name another, or pass --overwrite")


def _write(path: Path, text: str) -> None:
    from compress.core.paths import unwritable

    try:
        path.write_text(f"{text}\n", encoding="utf8")
    except OSError as error:
        raise unwritable(path, error) from None


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False, width=100)).rstrip()


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    profiles = typer.Typer(help="List, show and detect targets.", no_args_is_help=True)
    profiles.command("list")(list_profiles)
    profiles.command()(show)
    profiles.command()(detect)
    app.add_typer(profiles, name="profiles")
