"""Short names for models that were named by their folders."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compress.core.comparison import Comparison


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Of paths the end that tells them apart; other names (`demo`, `org/name`) as they are."""
    return {name: _end(name, [other for other in names if other != name]) for name in names}


def _end(name: str, others: Sequence[str]) -> str:
    parts = PurePath(name).parts
    if len(parts) <= 2 and not name.startswith(("/", ".", "~")):
        return name
    for count in range(1, len(parts)):
        end = "/".join(parts[-count:])
        if all("/".join(PurePath(other).parts[-count:]) != end for other in others):
            return end
    return name


def with_short_names(found: Comparison) -> Comparison:
    """The comparison, for people to read: its documents keep the names that were given."""
    short = short_names([one.name for one in found.models])
    models = [
        one.model_copy(
            update={"name": short[one.name], "beaten_by": tuple(short[name] for name in one.beaten_by)}
        )
        for one in found.models
    ]
    samples = [one.model_copy(update={"contender": short[one.contender]}) for one in found.samples]
    noise = [_told(line, short) for line in found.noise]
    update = {"models": tuple(models), "samples": tuple(samples), "noise": noise}
    return found.model_copy(update=update)


def _told(line: str, short: Mapping[str, str]) -> str:
    """A sentence that begins with a model's name, with the short one."""
    name = max((one for one in short if line.startswith(f"{one} ")), key=len, default="")
    return f"{short[name]}{line[len(name) :]}" if name else line
