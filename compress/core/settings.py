"""Settings and where each came from: flag, environment, project file, profile, default."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compress.core.config import Frozen, parse
from compress.core.errors import CompressError
from compress.core.recipe import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin = Literal["flag", "environment", "file", "default"]
PROJECT_FILE = "compress.yaml"
_SEVERAL = ("column", "calibration")
"""Settings of several values: commas part them in the environment."""


class Settings(Frozen):
    """What `run` can be told, by the names of its flags. None: not set, the profile may say."""

    target: str = "cpu"
    recipe: str | None = None
    preset: str | None = None
    task: str | None = None
    data: str | None = None
    column: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    metric: str | None = None
    max_drop: str | None = None
    min_speedup: str | None = None
    max_size: str | None = None
    max_latency: str | None = None
    max_memory: str | None = None
    out: str | None = None
    overwrite: bool = False
    offline: bool = False
    allow_fp32: bool = False
    keep_failed: bool = False
    seed: int = 0
    limit: int | None = None
    seconds: float = 20.0


@dataclass(frozen=True)
class Layered:
    """Settings, and for each of them the layer that it came from."""

    values: Settings
    origins: dict[str, Origin]

    def is_set(self, name: str) -> bool:
        """Whether the user set it, in any way."""
        return self.origins[name] != "default"


def layered(flags: Mapping[str, Any], *, folder: Path, environment: Mapping[str, str]) -> Layered:
    """Settings from all layers, the strongest first: flags, `COMPRESS_*`, the nearest project file.

    `flags` holds None (or False, or an empty list) where a flag was not given.

    Raises:
        CompressError: a value is not of its type, or the project file has an unknown key.
    """
    layers: list[tuple[Origin, Mapping[str, Any]]] = [
        ("flag", {name: value for name, value in flags.items() if value not in (None, False, (), [])}),
        ("environment", _from_environment(environment)),
        ("file", _from_file(folder)),
    ]
    merged: dict[str, Any] = {}
    origins: dict[str, Origin] = dict.fromkeys(Settings.model_fields, "default")
    for origin, values in reversed(layers):
        merged.update(values)
        origins.update(dict.fromkeys(values, origin))
    settings = parse(Settings, merged, code="settings-invalid", where="settings")
    return Layered(settings, origins)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in Settings.model_fields:
        value = environment.get(f"COMPRESS_{name.upper()}")
        if value is not None:
            found[name] = value.split(",") if name in _SEVERAL else value
    return found


def _from_file(folder: Path) -> dict[str, Any]:
    """The settings of `compress.yaml` or `[tool.compress]` in the nearest folder that has either."""
    for place in (folder, *folder.parents):
        if (place / PROJECT_FILE).is_file():
            values = read_yaml(place / PROJECT_FILE, code="settings-invalid")
            return _known(values, place / PROJECT_FILE)
        found = _tool_table(place / "pyproject.toml")
        if found:
            return _known(found, place / "pyproject.toml")
    return {}


def _tool_table(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        message = f"cannot read {path}: {error}"
        raise CompressError("settings-invalid", message, hint="mend the file") from None
    found = table.get("tool", {}).get("compress", {})
    return dict(found)


def _known(values: dict[str, Any], path: Path) -> dict[str, Any]:
    parse(Settings, values, code="settings-invalid", where=str(path))
    return values


def current(flags: Mapping[str, Any]) -> Layered:
    """`layered` for this process: its working folder and its environment."""
    return layered(flags, folder=Path.cwd(), environment=os.environ)
