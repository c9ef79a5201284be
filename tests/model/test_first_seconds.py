"""What cannot end well is refused before anything is exported, made or judged."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from compress.core.errors import ExitCode
from compress.pipeline import extras, run


@pytest.fixture(autouse=True)
def nothing_heavy(monkeypatch):
    def heavy(*args, **kwargs):
        raise AssertionError("heavy work began")

    monkeypatch.setattr(run, "set_up", heavy)


def labelled(path, count):
    lines = [f"text number {number},{number % 2}" for number in range(count)]
    Path(path).write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def test_too_few_items_for_a_budget_that_the_user_set(cli, tiny_models):
    data = labelled("few.csv", 200)
    called = cli("run", tiny_models("bert-classifier"), "--data", data, "--max-drop", "1%")
    assert called.code == ExitCode.INCONCLUSIVE
    assert "error[data-too-few]: 150 test items of 200" in called.err
    assert "hint: give about" in called.err


def test_too_few_items_for_a_default_budget_are_only_told(cli, tiny_models):
    called = cli("run", tiny_models("bert-classifier"), "--data", labelled("few.csv", 200))
    assert "150 test items of 200 cannot show" in called.err
    assert "heavy work began" in called.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--max-size", "20"), "the size '20' has no unit"),
        (("--max-memory", "200"), "the size '200' has no unit"),
        (("--max-latency", "10"), "the time '10' has no unit"),
        (("--out", "there"), "there exists already"),
        (("--recipe", "openvino-int8"), "the openvino runtime is not installed"),
    ],
)
def test_words_that_cannot_be_meant(cli, tiny_models, monkeypatch, flags, said):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    Path("there").mkdir()
    Path("there/compress.json").write_text("{}")
    called = cli("run", tiny_models("bert"), *flags)
    assert called.code == ExitCode.USER
    assert said in called.err


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("./nowhere", "the folder ./nowhere does not exist"),
        ("../nowhere/at/all", "the folder ../nowhere/at/all does not exist"),
        ("nowhere.gguf", "the file nowhere.gguf does not exist"),
    ],
)
def test_a_path_where_nothing_is(cli, model, said):
    for verb in ("run", "plan"):
        called = cli(verb, model)
        assert called.code == ExitCode.USER
        assert said in called.err


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_artifact_that_has_no_room_on_its_disk(cli, tiny_models, monkeypatch, command):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    called = cli(command, tiny_models("bert"))
    assert called.code == ExitCode.USER
    assert "error[no-space]: the artifact needs about" in called.err
    assert "--out" in called.err
