"""Settings and where each came from: flag, environment, project file, profile, default."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compress.core.config import Frozen, parse
from compress.core.errors import CompressError
from compress.core.foreign import translated
from compress.core.regular_files import MAX_CONFIG_BYTES, read_text
from compress.core.yaml_files import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

Origin = Literal["flag", "environment", "job", "file", "default"]
PROJECT_FILE = "compress.yaml"
JOBS = "jobs"
"""The key of a project file that lists what `compress run` without a model does."""
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
    label_map: str | dict[str, int | str] | None = None
    allow_chance: bool = False
    metric: str | None = None
    max_drop: str | None = None
    min_speedup: str | None = None
    max_size: str | None = None
    max_latency: str | None = None
    max_memory: str | None = None
    watts: float | None = None
    price_per_hour: float | None = None
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


@dataclass(frozen=True)
class Job:
    """One model for one target, as a project file lists it, with settings of its own."""

    model: str
    settings: Mapping[str, Any]


def layered(
    flags: Mapping[str, Any], *, folder: Path, environment: Mapping[str, str], job: Job | None = None
) -> Layered:
    """Settings from all layers, the strongest first: flags, `COMPRESS_*`, the job that is run, the nearest
    project file.

    `flags` holds None (or False, or an empty list) where a flag was not given.

    Raises:
        CompressError: a value is not of its type, or the project file has an unknown key.
    """
    layers: list[tuple[Origin, Mapping[str, Any]]] = [
        ("flag", {name: value for name, value in flags.items() if value not in (None, False, (), [])}),
        ("environment", _from_environment(environment)),
        ("job", job.settings if job else {}),
        ("file", _known(*project_values(folder))),
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


def project_values(folder: Path) -> tuple[dict[str, Any], Path]:
    """What `compress.yaml` or `[tool.compress]` in the nearest folder that has either holds, and where.

    Raises:
        CompressError: the file cannot be read.
    """
    for place in (folder, *folder.parents):
        if _is_there(place / PROJECT_FILE):
            return read_yaml(place / PROJECT_FILE, code="settings-invalid"), place / PROJECT_FILE
        found = _tool_table(place / "pyproject.toml")
        if found:
            return found, place / "pyproject.toml"
    return {}, folder / PROJECT_FILE


def project_jobs(folder: Path) -> list[Job]:
    """The jobs of the nearest project file: each of its models for each of that model's targets.

    Raises:
        CompressError: there are none, or one has no model or an unknown key.
    """
    values, path = project_values(folder)
    written = values.get(JOBS) or []
    if not isinstance(written, list) or not written:
        message = f"no model is named, and {path} lists no jobs"
        hint = "name a model: `compress run demo`, or list `jobs:` with a `model:` each"
        raise CompressError("jobs-missing", message, hint=hint)
    return [job for number, one in enumerate(written) for job in _jobs(one, f"{path}: jobs.{number}")]


def _jobs(written: Any, where: str) -> list[Job]:
    known = written if isinstance(written, dict) else {}
    settings = {key: value for key, value in known.items() if key not in ("model", "targets")}
    targets = known.get("targets", [])
    if not isinstance(known.get("model"), str) or not isinstance(targets, list):
        message = f"{where} is no job: expected `model:`, and `targets:` as a list"
        raise CompressError("settings-invalid", message, hint="mend the file")
    if "out" in settings and len(targets) > 1:
        message = f"{where}: one folder `out:` for {len(targets)} targets"
        raise CompressError("settings-invalid", message, hint="give `out:` outside of the jobs")
    each = [{**settings, "target": target} for target in targets] or [settings]
    for one in each:
        parse(Settings, one, code="settings-invalid", where=where)
    return [Job(known["model"], one) for one in each]


def _is_there(path: Path) -> bool:
    """Whether there is a file; one that cannot be read (a pipe) is refused later, not passed over."""
    return path.exists() and not path.is_dir()


def _tool_table(path: Path) -> dict[str, Any]:
    if not _is_there(path):
        return {}
    text = read_text(path, limit=MAX_CONFIG_BYTES, code="settings-invalid")
    with translated("settings-invalid", f"cannot read {path}", hint="mend the file"):
        values = tomllib.loads(text)
    table = values.get("tool", {})
    settings = table.get("compress", {}) if isinstance(table, dict) else {}
    if not isinstance(settings, dict):
        found = type(settings).__name__
        message = f"{path}: expected a table [tool.compress], found {found}"
        raise CompressError("settings-invalid", message, hint="mend the file")
    return settings


def _known(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The settings of a project file, without its jobs."""
    settings = {key: value for key, value in values.items() if key != JOBS}
    parse(Settings, settings, code="settings-invalid", where=str(path))
    return settings


def current(flags: Mapping[str, Any], *, job: Job | None = None) -> Layered:
    """`layered` for this process: its working folder and its environment."""
    return layered(flags, folder=Path.cwd(), environment=os.environ, job=job)
