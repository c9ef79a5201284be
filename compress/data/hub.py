"""Data sets of the Hugging Face Hub as files, without running any code of theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from compress.core.errors import CompressError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SPLITS = ("validation", "valid", "val", "dev", "test", "train")
"""Names of splits, those first whose rows the model was not trained on."""

_REVISIONS = ("refs/convert/parquet", "main")
"""First the branch on which the Hub keeps a parquet form of each data set."""
_SUFFIXES = (".parquet", ".jsonl", ".csv", ".tsv", ".jsonl.gz", ".jsonl.zst", ".csv.gz")

Layout = dict[str, dict[str, list[str]]]
"""File names by configuration, then by split."""


@dataclass(frozen=True)
class HubName:
    """`org/name[:config][:split]` in its parts."""

    name: str
    config: str | None = None
    split: str | None = None


def parse_hub_name(text: str) -> HubName | None:
    """The parts of a data set's name, or None where `text` has not that form.

    A single part after the name is a split if it is called like one, else a configuration.
    """
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?(?::([\w.-]+))?", text)
    if match is None:
        return None
    name, config, split = match.groups()
    if split is None and config in SPLITS:
        return HubName(name, None, config)
    return HubName(name, config, split)


def hub_files(name: HubName, *, offline: bool) -> list[Path]:
    """The files of one split of one configuration, downloaded or found in the Hub's cache.

    Raises:
        CompressError: there is no such data set, configuration or split, it is not on this disk
            offline, or the Hub cannot be reached.
    """
    from huggingface_hub import constants

    offline = offline or bool(constants.HF_HUB_OFFLINE)
    for revision in _REVISIONS:
        listed = _cached(name.name, revision) if offline else _listed(name.name, revision)
        layout = layout_of(listed or ())
        if layout:
            names = pick(layout, name)
            folder = Path(_fetched(name.name, revision, names, offline=offline))
            return [folder / file for file in names]
    if offline:
        hint = "run once without --offline, or pass a file"
        raise CompressError("offline-miss", f"'{name.name}' is not on this disk", hint=hint)
    message = f"'{name.name}' has no files of a kind that can be read ({', '.join(_SUFFIXES)})"
    raise CompressError("data-unsupported", message, hint="download it and pass a file")


def layout_of(names: Iterable[str]) -> Layout:
    """Sort the files of a data set by configuration and split, as their folders and names tell.

    Of several formats, the first of parquet, jsonl, csv, tsv and compressed ones is taken.
    """
    names = sorted(names)
    suffix = next((end for end in _SUFFIXES if any(name.endswith(end) for name in names)), None)
    layout: Layout = {}
    for name in names:
        if suffix and name.endswith(suffix):
            config, split = _place(PurePosixPath(name))
            layout.setdefault(config, {}).setdefault(split, []).append(name)
    return layout


def pick(layout: Layout, name: HubName) -> list[str]:
    """The files of the configuration and split that `name` asks for, or of the preferred ones.

    Raises:
        CompressError: they are not there, or there are several configurations and none is named.
    """
    config = _one_of(layout, name.config, ("default",), f"'{name.name}'", "configuration")
    splits = layout[config]
    return splits[_one_of(splits, name.split, SPLITS, f"'{name.name}' ({config})", "split")]


def preferred_split(names: Iterable[str]) -> str | None:
    """The one of several names that holds the likeliest held-out rows, None if none means a split."""
    names = sorted(names)
    return next((name for split in SPLITS for name in names if name.lower() == split), None)


def _one_of(
    known: Mapping[str, object], wanted: str | None, preferred: Sequence[str], of: str, what: str
) -> str:
    if wanted is not None:
        if wanted in known:
            return wanted
        raise CompressError(
            "data-missing", f"{of} has no {what} '{wanted}'", hint=did_you_mean(wanted, known)
        )
    found = next((name for name in preferred if name in known), None)
    if found is None and len(known) > 1:
        message = f"{of} has several {what}s: {', '.join(sorted(known))}"
        raise CompressError("data-missing", message, hint="name one: org/name:CONFIG:SPLIT")
    return found or next(iter(known))


def _place(name: PurePosixPath) -> tuple[str, str]:
    words = {part: re.split(r"[^A-Za-z]+", part.removeprefix("partial-")) for part in name.parts}
    split = next((split for split in SPLITS for part in name.parts if split in words[part]), "train")
    folders = [part for part in name.parts[:-1] if split not in words[part] and part != "data"]
    return (folders[0] if folders else "default"), split


def _cached(name: str, revision: str) -> list[str] | None:
    folder = _fetch_or_none(name, revision)
    if folder is None:
        return None
    return [path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file()]


def _fetch_or_none(name: str, revision: str) -> str | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return str(snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _listed(name: str, revision: str) -> list[str] | None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return list(HfApi().list_repo_files(name, repo_type="dataset", revision=revision))
    except GatedRepoError:
        raise CompressError("hub-gated", f"'{name}' is gated", hint="accept its terms, log in") from None
    except RevisionNotFoundError:
        return None
    except RepositoryNotFoundError:
        message = f"there is no file '{name}', and the Hub has no data set of that name"
        raise CompressError("data-missing", message, hint="check the path or the name") from None
    except Exception as error:  # whatever the network's libraries raise
        raise _unreachable(error) from error


def _fetched(name: str, revision: str, names: Sequence[str], *, offline: bool) -> str:
    from huggingface_hub import snapshot_download

    try:
        return str(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                allow_patterns=list(names),
                local_files_only=offline,
            )
        )
    except Exception as error:  # whatever the network's libraries raise
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> CompressError:
    message = f"cannot ask the Hub: {type(error).__name__}"
    hint = "check the network, or pass a file on this disk"
    return CompressError("hub-unreachable", message, hint=hint)
