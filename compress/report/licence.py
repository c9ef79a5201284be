"""The licence that a model's authors state, as an SPDX identifier where it is one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from compress.core.errors import CompressError
from compress.core.regular_files import read_json, read_text
from compress.core.yaml_files import parse_yaml

if TYPE_CHECKING:
    from pathlib import Path

_COMMON = (
    "AFL-3.0", "AGPL-3.0-only", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-4.0",
    "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "ECL-2.0", "EPL-2.0", "EUPL-1.2",
    "GPL-2.0-only", "GPL-3.0-only", "ISC", "LGPL-2.1-only", "LGPL-3.0-only", "MIT", "MPL-2.0", "MS-PL",
    "NCSA", "OFL-1.1", "OSL-3.0", "PDDL-1.0", "PostgreSQL", "Unlicense", "WTFPL", "Zlib",
)  # fmt: skip
_LICENCE_KEYS = re.compile(r"^license(?:_\w+)?:.*(?:\n[ \t-].*)*", re.MULTILINE)
"""A key of the licence at the top level, with the lines below it."""

_SPDX = {name.lower(): name for name in _COMMON}
"""SPDX identifiers by the lower-case names that Hugging Face's model cards use."""


def stated_licence(folder: Path) -> str | None:
    """The licence in a model's card (README.md) or its config.json, as written there; None: unstated.

    `license: other` gives way to the `license_name` beside it.
    """
    card = {**_config(folder / "config.json"), **_front_matter(folder / "README.md")}
    named = card.get("license")
    if named == "other" and card.get("license_name"):
        named = card["license_name"]
    if isinstance(named, list):
        named = " OR ".join(str(one) for one in named)
    return str(named) if named else None


def spdx(licence: str) -> str | None:
    """The SPDX identifier of a licence as model cards write it: `apache-2.0` is `Apache-2.0`."""
    name = licence.strip().lower()
    return _SPDX.get(name) or _SPDX.get(f"{name}-only")


def _front_matter(path: Path) -> dict[str, Any]:
    """The licence's keys of the YAML between the `---` lines at the top of a card; a damaged one has none.

    Cards list results by the hundreds of kilobytes there, which are left out before YAML is parsed.
    """
    try:
        text = read_text(path, code="card-unreadable").replace("\r\n", "\n")
        front = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
        blocks = _LICENCE_KEYS.findall(front.group(1)) if front else []
        values = parse_yaml("\n".join(blocks), where=str(path), code="card-unreadable")
    except (FileNotFoundError, CompressError):
        return {}
    return values if isinstance(values, dict) else {}


def _config(path: Path) -> dict[str, Any]:
    try:
        values = read_json(path, code="config-invalid")
    except (FileNotFoundError, CompressError):
        return {}
    return values if isinstance(values, dict) else {}
