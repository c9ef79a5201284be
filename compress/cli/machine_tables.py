"""Tables of what machines are and have: `doctor` and `profiles`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from compress.core.units import human_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.profile import Profile


def doctor_tables(document: Mapping[str, Any]) -> list[Table]:
    """Packages first, then everything around them."""
    packages = _table("package", "installed", "needed", "")
    for one in document["packages"]:
        packages.add_row(one["name"], one["found"] or "-", one["wanted"] or "any", _mark(one["fits"]))
    extras = _table("extra", "installed", "install with")
    for one in document["extras"]:
        # A Text, since a string's brackets would be read as rich's markup.
        command = Text("" if one["installed"] else one["install"])
        extras.add_row(one["name"], _mark(one["installed"]), command)
    return [packages, extras, _facts(_surroundings(document))]


def _surroundings(document: Mapping[str, Any]) -> dict[str, str]:
    cache, hub = document["cache"], document["hub"]
    return {
        "python": document["python"],
        **_host(document["host"]),
        "onnxruntime runs on": ", ".join(document["providers"]) or "nothing",
        "cache": f"{cache['folder']} ({human_bytes(cache['free_bytes'])} free)",
        "hub": f"{'offline' if hub['offline'] else 'online'}, {hub['cache']}",
    }


def profiles_table(
    profiles: Sequence[Profile], reasons: Mapping[str, Sequence[str]], limits: Mapping[str, Sequence[str]]
) -> Table:
    """The targets, and whether figures taken here would be theirs."""
    table = _table("profile", "target", "figures here")
    for one in profiles:
        figures = _figures(reasons[one.name], limits[one.name])
        table.add_row(one.name, Text(one.description), Text(figures))
    return table


def _figures(reasons: Sequence[str], limits: Sequence[str]) -> str:
    if reasons:
        return f"estimated: {'; '.join(reasons)}"
    return f"measured, constrained to {', '.join(limits)}" if limits else "measured"


def detected_table(document: Mapping[str, Any]) -> Table:
    """This host and what it sustains."""
    peaks = {f"{name} products": f"{figure:,.0f} GOP/s" for name, figure in document["peak_gop_s"].items()}
    bandwidth = f"{document['bandwidth_gb_s']:.1f} GB/s"
    return _facts({**_host(document["host"]), "memory bandwidth": bandwidth, **peaks})


def _host(host: Mapping[str, Any]) -> dict[str, str]:
    saturates = "yes: weights keep to 7 bits" if host["int8_saturates"] else "no"
    return {
        "processor": host["cpu"],
        "cores": str(host["cores"]),
        "memory": f"{host['memory_gib']:g} GiB",
        "system": host["system"],
        "architecture": host["level"] or host["architecture"],
        "instruction sets": ", ".join(host["isa"]) or "not told",
        "int8 saturates": saturates,
    }


def _facts(rows: Mapping[str, str]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def _mark(good: bool) -> str:
    return "yes" if good else "no"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
