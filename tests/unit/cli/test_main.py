import subprocess
import sys

import pytest

from compress.cli.main import main
from compress.core.version import VERSION

HEAVY = ("torch", "transformers", "onnxruntime", "onnx", "numpy")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["check", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words):
    program = (
        f"import sys; from compress.cli.main import main; code = main({words!r});"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code, file=sys.stderr)"
    )
    called = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert called.stderr.strip() == "[] 0"
    assert called.stdout


def test_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"compress {VERSION}"


def test_an_unknown_verb_names_the_likeliest(capsys):
    assert main(["rnu", "demo"]) == 2
    assert "error[usage]: No such command 'rnu'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"), [(["run", "model"], "finished steps are kept in"), (["verify", "folder"], "")]
)
def test_an_interrupted_command_says_what_is_kept(words, hint, monkeypatch, tmp_path, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("compress.api.run_settings", interrupted)
    monkeypatch.setattr("compress.pipeline.manifest.read_manifest", interrupted)
    monkeypatch.chdir(tmp_path)
    assert main(words) == 130
    said = capsys.readouterr().err
    assert "interrupted\n" in said
    assert (f"{hint} {tmp_path / 'cache'}" in said) if hint else "hint" not in said


class Panic(BaseException):
    """As pyo3 raises what Rust panics with."""


@pytest.mark.parametrize("error", [KeyError("\x1b[2J"), Panic("no entry found")])
def test_whatever_is_raised_ends_in_one_line(error, monkeypatch, capsys) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr("compress.cli.main.build", lambda: lambda **options: broken())
    assert main(["plan"]) == 3
    told = capsys.readouterr().err
    assert told.startswith("error[internal]: ")
    assert "\x1b" not in told
