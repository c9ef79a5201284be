from __future__ import annotations

import json

import pytest
import yaml

from compress.cli.main import main
from compress.core.profile import load_profile
from compress.measure import probe as module
from compress.measure.probe import Throughput


@pytest.fixture
def measured(monkeypatch):
    found = Throughput(bandwidth_gb_s=20.04, peak_gop_s={"fp32": 100.0, "int8": 400.0})
    monkeypatch.setattr(module, "probe", lambda *, threads: found)


def test_list_says_what_is_measured_here(capsys):
    assert main(["profiles", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    reasons = {one["name"]: one["differences"] for one in document["profiles"]}
    assert document["schema_version"] == 1
    assert reasons["cpu"] == []
    assert reasons["jetson-orin"]


def test_list_prints_a_table(capsys):
    assert main(["profiles", "list"]) == 0
    out = capsys.readouterr().out
    assert "raspberry-pi-5" in out
    assert "estimated:" in out


def test_show_prints_a_file_that_target_takes(capsys, tmp_path):
    assert main(["profiles", "show", "raspberry-pi-5"]) == 0
    path = tmp_path / "copy.yaml"
    path.write_text(capsys.readouterr().out)
    assert load_profile(str(path)) == load_profile("raspberry-pi-5")


def test_show_as_json(capsys):
    assert main(["profiles", "show", "cuda", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["execution_provider"] == "CUDAExecutionProvider"


def test_an_unknown_name_is_the_users_error(capsys):
    assert main(["profiles", "show", "nope"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error[profile-unknown]: no profile 'nope'\nhint: known: apple-m")


@pytest.mark.usefixtures("measured")
def test_detect_writes_a_profile(capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    assert main(["profiles", "detect", "--save", str(path), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    saved = load_profile(str(path))
    assert saved.name == "mine"
    assert (saved.bandwidth_gb_s, saved.peak_gop_s["int8"]) == (20.0, 400.0)
    assert saved.cores == document["host"]["cores"]
    assert saved.candidates == load_profile("cpu").candidates
    assert None not in yaml.safe_load(path.read_text()).values()


@pytest.mark.usefixtures("measured")
def test_detect_replaces_nothing_unasked(capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kept")
    assert main(["profiles", "detect", "--save", str(path)]) == 2
    assert "error[output-exists]" in capsys.readouterr().err
    assert path.read_text() == "kept"
    assert main(["profiles", "detect", "--save", str(path), "--overwrite"]) == 0


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("name", "code"), [("mine.json", "output-invalid"), ("no/mine.yaml", "output-unwritable")]
)
def test_detect_refuses_what_it_cannot_write(capsys, tmp_path, name, code):
    assert main(["profiles", "detect", "--save", str(tmp_path / name)]) == 2
    assert f"error[{code}]" in capsys.readouterr().err
