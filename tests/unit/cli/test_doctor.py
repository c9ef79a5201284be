from __future__ import annotations

import json
import shutil
from collections import namedtuple

import pytest

from compress.cli.main import main
from compress.measure import installation


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "not" / "there" / "yet"))


def test_a_whole_installation_is_well(capsys, tmp_path):
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["problems"] == []
    assert document["cache"]["folder"].startswith(str(tmp_path))
    assert document["cache"]["free_bytes"] > 0
    assert "CPUExecutionProvider" in document["providers"]
    assert {"name", "wanted", "found", "fits"} == set(document["packages"][0])
    assert {one["name"] for one in document["extras"]} >= {"demo", "openvino"}


def test_the_tables_name_what_is_there(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for word in ("onnxruntime", "openvino", "processor", "cache"):
        assert word in out


def test_a_missing_package_is_a_problem_with_its_command(capsys, monkeypatch):
    monkeypatch.setattr(installation, "requires", lambda name: ["no-such-package>=1"])
    assert main(["doctor"]) == 2
    err = capsys.readouterr().err
    assert "error[package-missing]: no-such-package is not installed" in err
    assert "hint: pip install 'no-such-package>=1'" in err


def test_an_old_package_is_a_problem(capsys, monkeypatch):
    monkeypatch.setattr(installation, "requires", lambda name: ["numpy>=900"])
    assert main(["doctor", "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["message"].endswith("is installed, >=900 is needed")


def test_a_full_disk_is_a_problem(capsys, monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 9, 1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert main(["doctor"]) == 2
    assert "error[no-space]: 1 MB are free" in capsys.readouterr().err
