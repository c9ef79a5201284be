"""How the process of a step ends, and what the one that started it says about that."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from compress.core.artifact import Artifact, ArtifactKind, Silent
from compress.core.errors import CompressError, InternalError
from compress.core.recipe import Step
from compress.pipeline import step_process
from compress.pipeline.messages import Spec, StepRequest, place
from compress.pipeline.step_process import run_child
from tests.unit.graphs import PROFILE

FAILING_PASS = """
import errno, os
from types import SimpleNamespace
from compress.pipeline import child

def fail(artifact, config, context):
    {body}

child.bind = lambda step: SimpleNamespace(config=None, implementation=SimpleNamespace(apply=fail))
child.main()
"""
"""The process of a step whose pass fails."""

LARGER_THAN_A_PIPE = 5000
"""Inputs of a request that a process which never reads leaves its writer waiting with."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    def ran(code, *, inputs=0):
        def popen(command, **options):
            return subprocess.Popen([sys.executable, "-c", code], **options)

        monkeypatch.setattr(step_process, "subprocess", SimpleNamespace(Popen=popen, PIPE=subprocess.PIPE))
        (tmp_path / "rows").write_text("")
        checkpoint = place(Artifact(kind=ArtifactKind.CHECKPOINT, folder=tmp_path, task="x"))
        request = StepRequest(
            step=Step(name="prune.layers", config={"count": 1}), source=checkpoint, original=checkpoint,
            folder=tmp_path / "made", work=tmp_path / "work", rows=tmp_path / "rows", processor=tmp_path,
            inputs=tuple(Spec(name=f"input {n}", dtype="int64", shape=(None, 1)) for n in range(inputs)),
            profile=PROFILE, seed=0,
        )  # fmt: skip
        return run_child(request, Silent())

    return ran


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/x/model.onnx')", "no-space"),
        (
            "import safetensors; raise safetensors.SafetensorError("
            "'Error while serializing: I/O error: No space left on device (os error 28)')",
            "no-space",
        ),
        ("raise RuntimeError('PytorchStreamWriter failed writing file data/0')", "disk-fault"),
    ],
)  # fmt: skip
def test_a_full_or_broken_disk_in_a_step_is_the_users_to_mend(run, body, code):
    reply = run(FAILING_PASS.format(body=body))
    assert reply.error.kind == "CompressError"
    assert reply.error.code == code
    assert reply.error.error().exit_code == 2
    assert reply.error.hint


def test_a_full_disk_that_ended_the_process_is_told(run):
    with pytest.raises(CompressError, match="no-space"):
        run("import sys; sys.exit('OSError: [Errno 28] No space left on device')")


def test_a_process_that_died_before_it_read_its_request_is_told_by_its_own_words(run):
    with pytest.raises(InternalError, match="step-died") as caught:
        run("import sys; sys.exit('no module named torch')", inputs=LARGER_THAN_A_PIPE)
    assert caught.value.message == "step 'prune.layers' died (1): no module named torch"


@pytest.mark.parametrize(("signal", "code"), [("SIGBUS", "disk-fault"), ("SIGKILL", "out-of-memory")])
def test_signals_of_a_broken_disk_and_of_too_little_memory(run, signal, code):
    with pytest.raises(CompressError) as caught:
        run(f"import os, signal; os.kill(os.getpid(), signal.{signal})")
    assert caught.value.code == code
    assert caught.value.exit_code == 2
