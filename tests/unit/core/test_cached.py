"""Folders of the cache: what damages them is seen, and equal runs make them once."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from compress.core.cached import take
from compress.core.locks import own, own_abandoned, use
from compress.core.seal import is_sealed, seal_path

GRAPH = bytes(range(256)) * 8


def fill(beside, lock):
    (beside / "deep").mkdir()
    (beside / "model.onnx").write_bytes(GRAPH)
    (beside / "deep" / "config.json").write_text("{}")


def taken(folder, make=fill):
    """Take a folder, and return what was said and whether it was made."""
    notes, made = [], []

    def told(beside, lock):
        made.append(beside)
        make(beside, lock)

    take(folder, told, name="step 'x'", note=notes.append).release()
    return notes, bool(made)


def flip(path, at=100):
    value = bytearray(path.read_bytes())
    value[at] ^= 1
    path.chmod(0o644)
    path.write_bytes(value)


def test_a_folder_is_made_once(tmp_path):
    assert taken(tmp_path / "steps" / "key") == ([], True)
    assert taken(tmp_path / "steps" / "key") == ([], False)
    assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == ["key", "key.seal"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.onnx"),
        lambda folder: (folder / "model.onnx").write_bytes(GRAPH[:-1]),
        lambda folder: (folder / "deep" / "config.json").unlink(),
        lambda folder: (folder / "extra").write_text("x"),
        lambda folder: (folder / "link").symlink_to(folder / "model.onnx"),
        lambda folder: os.mkfifo(folder / "pipe"),
        lambda folder: flip(seal_path(folder)),
        lambda folder: seal_path(folder).write_text("[]"),
        lambda folder: seal_path(folder).write_text('{"files": {"model.onnx": 5}}'),
    ],
    ids=["flip", "cut", "missing", "extra", "link", "pipe", "flipped-seal", "list", "number"],
)
def test_damage_is_told_and_made_again(tmp_path, damage):
    folder = tmp_path / "key"
    taken(folder)
    damage(folder)
    assert taken(folder) == (["cached step 'x' is damaged: made again"], True)
    assert (folder / "model.onnx").read_bytes() == GRAPH
    assert taken(folder) == ([], False)


def test_a_folder_without_a_seal_is_not_used(tmp_path):
    (tmp_path / "key").mkdir()
    assert taken(tmp_path / "key") == ([], True)
    assert is_sealed(tmp_path / "key")


def test_what_fails_leaves_nothing_and_is_tried_again(tmp_path):
    def fails(beside, lock):
        (beside / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        taken(tmp_path / "key", fails)
    assert list(tmp_path.iterdir()) == []
    assert taken(tmp_path / "key") == ([], True)


def test_files_are_read_only(tmp_path):
    taken(tmp_path / "key")
    assert (tmp_path / "key" / "model.onnx").stat().st_mode & 0o222 == 0


def test_who_waits_says_so_and_takes_what_the_other_made(tmp_path):
    begun, go_on, folder = threading.Event(), threading.Event(), tmp_path / "key"

    def slow(beside, lock):
        begun.set()
        go_on.wait(10)
        fill(beside, lock)

    def note(line):
        notes.append(line)
        go_on.set()

    notes = []
    first = threading.Thread(target=taken, args=(folder, slow))
    first.start()
    assert begun.wait(10)
    take(folder, lambda beside, lock: pytest.fail("made twice"), name="step 'x'", note=note).release()
    first.join()
    assert notes == ["another run makes step 'x': waiting for it"]


def _rounds(root, start, rounds):
    start.wait()
    for number in range(rounds):
        folder = root / "steps" / f"{number}"

        def make(beside, lock, number=number):
            fill(beside, lock)
            (beside / "made").write_text(str(os.getpid()))
            with (root / f"made-{number}").open("a") as stream:
                stream.write("x")

        take(folder, make, name="step", note=lambda line: None).release()
        assert (folder / "model.onnx").read_bytes() == GRAPH


def test_of_processes_that_ask_at_once_one_makes_a_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    children = [context.Process(target=_rounds, args=(tmp_path, start, 10)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert [(tmp_path / f"made-{number}").read_text() for number in range(10)] == ["x"] * 10


HOLDER = """
import subprocess, sys, time
from pathlib import Path
from compress.core.cached import take
def make(beside, lock):
    (beside / "half").write_text("x")
    subprocess.Popen(["sleep", sys.argv[2]], pass_fds=[lock])
    print("making", flush=True)
    time.sleep(60)
take(Path(sys.argv[1]), make, name="step", note=print)
"""


@pytest.fixture
def killed_maker(tmp_path):
    """A function that kills a process which makes a folder, whose child lives for so many seconds more."""

    def killed(seconds):
        words = [sys.executable, "-c", HOLDER, str(tmp_path / "key"), str(seconds)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "making\n"
            process.send_signal(signal.SIGKILL)

    return killed


def test_the_lock_and_the_litter_of_a_killed_process_do_not_stay(tmp_path, killed_maker):
    killed_maker(0)
    assert taken(tmp_path / "key")[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.seal"]


def test_a_child_keeps_the_lock_of_a_parent_that_was_killed(tmp_path, killed_maker):
    killed_maker(2)
    assert taken(tmp_path / "key") == (["another run makes step 'x': waiting for it"], True)


def test_what_is_used_cannot_be_owned(tmp_path):
    with use(tmp_path), use(tmp_path):
        assert own(tmp_path) is None
        assert own_abandoned(tmp_path) is None
    with own_abandoned(tmp_path):
        assert own(tmp_path) is None
    assert use(tmp_path / "missing") is None
