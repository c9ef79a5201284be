"""Files that a later run goes on from."""

import os

import pytest

from compress.core.copies import add_missing, clone_or_copy
from compress.core.seal import is_resumable, is_sealed, is_whole, remove_resume_point, resume_point, seal


def write(path, text):
    with resume_point(path) as part:
        part.write_text(text)


def test_a_file_is_whole_until_a_bit_flips(tmp_path):
    path = tmp_path / "work" / "block"
    assert not is_whole(path)
    write(path, "block")
    assert is_whole(path)
    path.write_text("blocc")
    assert not is_whole(path)


def test_the_file_that_a_kill_left_in_place_of_its_next_version_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "known"
    write(path, "1")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        replace = type(path).replace

        def killed(self, target):
            if target == path:
                raise KeyboardInterrupt
            return replace(self, target)

        patch.setattr(type(path), "replace", killed)
        write(path, "2")
    assert path.read_text() == "1"
    assert is_whole(path)
    write(path, "3")
    assert is_whole(path)


def test_a_folder_is_gone_on_from_if_all_of_it_is_whole(tmp_path):
    write(tmp_path / "0" / "states", "x")
    write(tmp_path / "known", "y")
    (tmp_path / ".block.1234.part").write_text("half")
    assert is_resumable(tmp_path)
    assert not (tmp_path / ".block.1234.part").exists()
    (tmp_path / "0" / "states").write_text("z")
    assert not is_resumable(tmp_path)
    remove_resume_point(tmp_path / "0" / "states")
    assert is_resumable(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert not is_resumable(tmp_path)


def test_a_file_that_is_copied_in_shares_nothing_with_the_users(tmp_path):
    source, target = tmp_path / "model", tmp_path / "cache"
    source.mkdir()
    target.mkdir()
    (source / "config.json").write_text("before")
    add_missing(source, target, add=clone_or_copy)
    with (source / "config.json").open("r+") as stream:
        stream.write("AFTER!")
    assert (target / "config.json").read_text() == "before"


def test_a_link_is_sealed_by_where_it_leads(tmp_path):
    """What it leads to is the user's: neither read nor made read-only."""
    weights = tmp_path / "weights"
    weights.write_bytes(b"large")
    weights.chmod(0o644)
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "link").symlink_to(weights)
    seal(folder, name=folder)
    assert weights.stat().st_mode & 0o777 == 0o644
    weights.write_bytes(b"edited")
    assert is_sealed(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path / "other")
    assert not is_sealed(folder)
