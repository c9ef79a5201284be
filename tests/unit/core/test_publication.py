"""One publishes, others refuse, and a kill leaves the old folder or the new one."""

import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from compress.core import publication, renames
from compress.core.errors import CompressError
from compress.core.paths import MANIFEST
from compress.core.publication import published


@pytest.fixture(params=["system", "portable"])
def system(request, monkeypatch):
    """With the renames of this system, and with what any system has."""
    if request.param == "portable":
        monkeypatch.setattr(renames, "_rename", lambda *words: False)
    return request.param


def artifact(folder, text):
    folder.mkdir()
    (folder / MANIFEST).write_text(text)


def text_of(folder):
    return (folder / MANIFEST).read_text()


def test_what_was_made_meanwhile_is_never_removed(tmp_path, system):
    target = tmp_path / "out"
    with pytest.raises(CompressError, match="output-exists"), published(target) as beside:
        (beside / MANIFEST).write_text("ours")
        target.mkdir()
        (target / "precious").write_text("mine")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "precious").read_text() == "mine"


def test_an_empty_folder_that_was_made_meanwhile_stays_a_users(tmp_path, monkeypatch):
    target = tmp_path / "out"
    with pytest.raises(CompressError, match="output-exists"), published(target):
        target.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_was_made_meanwhile_is_never_removed(tmp_path, system, replace):
    target = tmp_path / "out"
    with pytest.raises(CompressError, match="output-exists"), published(target, replace=replace):
        target.write_text("mine")
    assert target.read_text() == "mine"


def test_an_artifact_is_replaced(tmp_path, system):
    target = tmp_path / "out"
    artifact(target, "old")
    with published(target, replace=True) as beside:
        (beside / MANIFEST).write_text("new")
        assert text_of(target) == "old"
    assert text_of(target) == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_artifact_that_came_meanwhile_is_replaced_if_it_may_be(tmp_path, system):
    target = tmp_path / "out"
    with published(target, replace=True) as beside:
        (beside / MANIFEST).write_text("new")
        artifact(target, "theirs")
    assert text_of(target) == "new"


def test_what_is_no_artifact_comes_back_from_an_exchange(tmp_path, monkeypatch):
    target, seen = tmp_path / "out", []
    artifact(target, "old")

    def exchanged(first, second):
        if not seen:  # between the look and the exchange
            (second / MANIFEST).unlink()
            (second / "precious").write_text("mine")
        seen.append(second)
        return renames.exchange(first, second)

    monkeypatch.setattr(publication, "exchange", exchanged)
    with pytest.raises(CompressError, match="no artifact"), published(target, replace=True) as beside:
        (beside / MANIFEST).write_text("new")
    assert (target / "precious").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from compress.core import publication, renames
from compress.core.publication import published
kill = lambda *words, **options: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "portable":
    renames._rename = lambda *words: False
moment = sys.argv[3]
if moment == "after":
    publication.shutil.rmtree = kill
else:
    rename = publication.rename_new
    def rename_new(source, target, calls=[]):
        calls.append(1)
        return kill() if len(calls) == int(moment) else rename(source, target)
    publication.rename_new = rename_new
with published(Path(sys.argv[1]), replace=True) as beside:
    (beside / "compress.json").write_text("new")
"""


@pytest.mark.parametrize(
    ("kind", "moment", "left"),
    [("system", "1", "old"), ("system", "after", "new"), ("portable", "1", "old"), ("portable", "2", None),
     ("portable", "after", "new")],
)  # fmt: skip
def test_a_kill_leaves_the_old_or_the_new_artifact_and_the_next_run_no_litter(tmp_path, kind, moment, left):
    target = tmp_path / "out"
    artifact(target, "old")
    words = [sys.executable, "-c", KILLED, str(target), kind, moment]
    assert subprocess.run(words, check=False).returncode == -9
    if left:  # without an exchange there is a moment between two renames, which the next run mends
        assert text_of(target) == left
    assert len(list(tmp_path.iterdir())) > 1
    publication.remove_abandoned(target)
    assert text_of(target) == (left or "old")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _publishes(target: Path, start, replies) -> None:
    start.wait()
    try:
        with published(target) as beside:
            (beside / "a").write_text("x" * 1000)
        replies.put("published")
    except CompressError as error:
        replies.put(error.code)


def test_of_runs_to_one_folder_one_publishes_and_the_others_refuse(tmp_path):
    context = multiprocessing.get_context("fork")
    for number in range(5):
        start, replies = context.Barrier(4), context.SimpleQueue()
        target = tmp_path / f"out{number}"
        children = [context.Process(target=_publishes, args=(target, start, replies)) for _ in range(4)]
        for child in children:
            child.start()
        found = sorted(replies.get() for _ in children)
        for child in children:
            child.join()
        assert found == ["output-exists"] * 3 + ["published"]
    assert len(list(tmp_path.iterdir())) == 5


def test_folders_of_a_user_with_like_names_stay(tmp_path):
    for name in (".out.settings", ".out.backup", "out.compress-1", ".other.compress-abcdefgh"):
        (tmp_path / name).mkdir()
    with published(tmp_path / "out"):
        pass
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("replace", [False, True])
def test_a_finished_folder_stays_finished_though_its_name_could_not_be_synced(
    tmp_path, monkeypatch, system, replace
):
    target, notes, sync = tmp_path / "out", [], renames.sync_path
    if replace:
        artifact(target, "old")

    def fails_at_the_parent(path):
        if path == tmp_path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(publication, "sync_path", fails_at_the_parent)
    with published(target, replace=replace, note=notes.append) as beside:
        (beside / MANIFEST).write_text("new")
    assert text_of(target) == "new"
    assert notes == [
        f"{target} is complete, but a loss of power now may undo its name: No space left on device"
    ]


def test_nothing_is_published_that_could_not_be_synced(tmp_path, monkeypatch):
    def fails(folder):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(publication, "sync_tree", fails)
    with pytest.raises(CompressError, match="disk-fault"), published(tmp_path / "out") as beside:
        (beside / MANIFEST).write_text("new")
    assert not list(tmp_path.iterdir())
