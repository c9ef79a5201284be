"""What is installed, read from the metadata of packages: nothing is imported."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from compress.core.distribution import DISTRIBUTION, install_extra

_DEVELOPMENT = ("test",)
"""Extras that only developers of the tool install."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that is asked for, and the version that is there (None: it is missing)."""

    name: str
    wanted: str
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether it is there, in a version that is asked for."""
        return self.found is not None and Requirement(f"{self.name}{self.wanted}").specifier.contains(
            self.found, prereleases=True
        )


@dataclass(frozen=True, kw_only=True)
class Extra:
    """A group of optional packages, under the name that pip takes in brackets."""

    name: str
    packages: tuple[Package, ...]

    @property
    def fits(self) -> bool:
        """Whether all of it is installed."""
        return all(package.fits for package in self.packages)

    @property
    def command(self) -> str:
        """How to install it."""
        return install_extra(self.name)


def needed() -> list[Package]:
    """The packages without which the tool does not work, sorted by name."""
    return sorted((_package(one) for one in _requirements() if one.marker is None), key=lambda one: one.name)


def extras() -> list[Extra]:
    """The optional groups, sorted by name."""
    found: dict[str, list[Package]] = {}
    for one in _requirements():
        name = _extra_of(one)
        if name is not None and name not in _DEVELOPMENT:
            found.setdefault(name, []).append(_package(one))
    return [Extra(name=name, packages=tuple(found[name])) for name in sorted(found)]


def _requirements() -> list[Requirement]:
    return [Requirement(line) for line in requires(DISTRIBUTION) or []]


def _extra_of(requirement: Requirement) -> str | None:
    """The extra that asks for a requirement: the marker reads `extra == 'NAME'`."""
    marker = str(requirement.marker or "")
    return marker.rpartition("extra ==")[2].strip().strip("'\"") or None if "extra ==" in marker else None


def _package(requirement: Requirement) -> Package:
    try:
        found: str | None = version(requirement.name)
    except PackageNotFoundError:
        found = None
    return Package(name=requirement.name, wanted=str(requirement.specifier), found=found)
