"""What is wrong with a command is said before torch is imported, which takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

_RUN = """
import sys
from compress.cli.main import main
code = main(sys.argv[1:])
sys.exit(9 if "torch" in sys.modules else code)
"""


@pytest.fixture
def place(tmp_path):
    """A working folder with a folder that is no model, one of a stranger's code, and an output."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    config = {"model_type": "bert", "auto_map": {"AutoModel": "code.Model"}}
    (tmp_path / "foreign" / "config.json").write_text(json.dumps(config))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "./nowhere"], "model-unknown"),
        (["plan", "./nowhere"], "model-unknown"),
        (["plan", "./empty"], "config-missing"),
        (["plan", "./foreign"], "repository-code"),
        (["run", "./empty", "--max-size", "20"], ""),
        (["run", "./empty", "--out", "out"], "output-exists"),
        (["run", "./empty", "--recipe", "int9"], ""),
    ],
)
def test_a_wrong_command_is_refused_without_torch(place, words, code):
    environment = {**os.environ, "COMPRESS_CACHE": str(place / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *words], cwd=place, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert f"error[{code}" in done.stderr
