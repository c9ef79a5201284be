import os

import pytest

from compress.core.copies import add_missing, clone_or_copy
from compress.core.errors import CompressError
from compress.core.paths import (
    contained,
    folder_digest,
    refuse_existing,
    refuse_unwritable,
    whole_file,
)
from compress.core.publication import published


def test_a_folder_is_complete_or_absent(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), published(target) as beside:
        (beside / "half").write_text("written")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with published(target) as beside:
        (beside / "whole").write_text("written")
    assert (target / "whole").read_text() == "written"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_complete_or_absent(tmp_path):
    target = tmp_path / "new" / "out.json"
    with pytest.raises(RuntimeError), whole_file(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    for text in ("whole", "another"):
        with whole_file(target) as part:
            part.write_text(text)
            assert target.exists() == (text == "another")
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["out.json"]


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), published(tmp_path / "out"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_kept_unless_it_may_be_replaced(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine").write_text("precious")
    with pytest.raises(CompressError, match="output-exists"), published(target):
        pass
    assert (target / "mine").read_text() == "precious"
    with pytest.raises(CompressError, match="no artifact"), published(target, replace=True):
        pass
    assert (target / "mine").read_text() == "precious"
    (target / "compress.json").write_text("{}")
    with published(target, replace=True) as beside:
        (beside / "new").write_text("x")
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_file_in_the_way_is_never_replaced(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(CompressError, match="output-exists"):
        refuse_existing(tmp_path / "out", replace=True)


def test_a_parent_that_is_a_file_is_unwritable(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CompressError, match="output-unwritable"), published(tmp_path / "file" / "out"):
        pass


def test_an_output_below_a_file_is_refused_before_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CompressError, match="output-unwritable"):
        refuse_unwritable(tmp_path / "file" / "deep" / "out")
    refuse_unwritable(tmp_path / "new" / "deep" / "out")
    assert not (tmp_path / "new").exists()


def test_no_space_is_told_as_such(tmp_path):
    with pytest.raises(CompressError, match="no-space"), published(tmp_path / "out"):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b"])
def test_ways_out_are_refused(tmp_path, name):
    with pytest.raises(CompressError, match="path-escapes"):
        contained(tmp_path, name)


def test_links_out_are_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(CompressError, match="path-escapes"):
        contained(folder, "link/secret")


def test_a_digest_sees_names_and_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    first = folder_digest(tmp_path)
    (tmp_path / "a").write_bytes(b"2")
    second = folder_digest(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({first, second, folder_digest(tmp_path)}) == 3


def test_only_missing_files_are_added(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    target.mkdir()
    for name in ("deep/a", "b", "skipped"):
        (source / name).write_text("source")
    (target / "b").write_text("target")
    add_missing(source, target, add=clone_or_copy, skip=["skipped"])
    assert (target / "deep/a").read_text() == "source"
    assert (target / "b").read_text() == "target"
    assert not (target / "skipped").exists()
