"""A full or a broken disk is told as such, whichever library noticed."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from compress.core.errors import CompressError, InternalError
from compress.core.storage import disk_error, full_or_broken, refuse_full


def caused(cause):
    error = InternalError("export-failed", "the exporter failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/model.onnx"), "no-space"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "no-space"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "disk-fault"),
        (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "no-space"),
        (
            RuntimeError("PytorchStreamWriter failed"),
            "disk-fault",
        ),
        (CompressError("no-space", "no space left for x", hint="free some"), "no-space"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda error: error, caused])
def test_it_is_found_behind_other_errors(error, code, wrap):
    found = disk_error(wrap(error))
    assert found.code == code
    assert found.exit_code == 2
    assert found.hint


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), ValueError("28"), KeyError("os")])
def test_other_errors_stay_what_they_are(error):
    assert disk_error(caused(error)) is None


def test_the_file_is_named(tmp_path):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x/model.onnx")
    assert disk_error(error).message == "no space left for /x/model.onnx"
    assert full_or_broken("/x", PermissionError(errno.EACCES, "no")) is None


def test_what_has_no_room_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    refuse_full(tmp_path / "new" / "deep", 1000, name="step 'x'", hint="free some")
    with pytest.raises(CompressError, match="no-space") as caught:
        refuse_full(tmp_path / "new", 5_000_000, name="step 'x'", hint="free some")
    assert caught.value.message == f"step 'x' needs about 5 MB in {tmp_path}/new, 1 kB are free"
