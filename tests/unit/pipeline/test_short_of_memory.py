"""PyTorch that the target has no memory for is left out, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from compress.core.artifact import ArtifactKind, Silent
from compress.measure.confinement import Confinement
from compress.measure.latency import Timings
from compress.measure.processes import WorkerFailed
from compress.pipeline.contenders import FP32, RESULT, TORCH, TORCH_BFLOAT16
from compress.pipeline.speed import Final, Stopwatch


@pytest.fixture
def stopwatch(tmp_path, monkeypatch):
    made = Stopwatch(
        profile=SimpleNamespace(threads=None, cores=1, execution_provider="CPUExecutionProvider"),
        checkpoint=SimpleNamespace(folder=tmp_path, task="none"),
        base=SimpleNamespace(kind=ArtifactKind.ONNX, graph=tmp_path / "model.onnx"),
        preprocessor=None,
        progress=Silent(),
        seconds=1,
        confinement=Confinement(memory_bytes=2**30),
    )
    monkeypatch.setattr(Stopwatch, "workloads", {"throughput": None})
    return made


def race(monkeypatch, *, fails, out_of_memory=True):
    """In the place of timing: whoever is among `fails` dies."""
    seen = []

    def in_turn(self, baselines, others):
        names = [one.name for one in (*baselines, *others)]
        seen.append(names)
        if dead := [name for name in names if name in fails]:
            raise WorkerFailed(dead[0], "died", out_of_memory=out_of_memory)
        rounds = {(name, "throughput"): [[0.1]] * 8 for name in names}
        numbers = dict.fromkeys(names, 1)
        return Timings(rounds=rounds, load_s=numbers, peak_rss_bytes=numbers)

    monkeypatch.setattr(Stopwatch, "_in_turn", in_turn)
    return seen


def test_pytorch_is_left_out_and_told(stopwatch, monkeypatch, tmp_path):
    seen = race(monkeypatch, fails=[TORCH])
    final = stopwatch.final(tmp_path / "small.onnx", runtime="onnxruntime")
    assert isinstance(final, Final)
    assert seen == [[TORCH, FP32, RESULT], [FP32, RESULT]]
    assert list(final.ratios) == [FP32]
    assert "PyTorch was not timed: it needs more than 1 GiB of memory" in final.noise


@pytest.mark.parametrize("instructions", [True, False])
def test_decoders_are_compared_with_bfloat16_where_there_are_instructions(
    stopwatch, monkeypatch, tmp_path, instructions
):
    decoder = SimpleNamespace(kind=ArtifactKind.GENAI, graph=tmp_path / "model.onnx")
    monkeypatch.setattr("compress.pipeline.speed.has_bfloat16", lambda: instructions)
    seen = race(monkeypatch, fails=[])
    final = replace(stopwatch, base=decoder).final(tmp_path / "model.onnx", runtime="onnxruntime-genai")
    more = [TORCH_BFLOAT16] if instructions else []
    assert seen == [[TORCH, FP32, *more, RESULT]]
    assert list(final.ratios) == [TORCH, FP32, *more]


@pytest.mark.parametrize("fails", [[TORCH], [TORCH_BFLOAT16], [TORCH, TORCH_BFLOAT16]])
def test_of_pytorch_what_fits_is_kept(stopwatch, monkeypatch, tmp_path, fails):
    decoder = SimpleNamespace(kind=ArtifactKind.GENAI, graph=tmp_path / "model.onnx")
    monkeypatch.setattr("compress.pipeline.speed.has_bfloat16", lambda: True)
    race(monkeypatch, fails=fails)
    final = replace(stopwatch, base=decoder).final(tmp_path / "model.onnx", runtime="onnxruntime-genai")
    assert list(final.ratios) == [one for one in (TORCH, FP32, TORCH_BFLOAT16) if one not in fails]
    told = {TORCH: "PyTorch was", TORCH_BFLOAT16: "PyTorch in bfloat16 was"}
    short = "not timed: it needs more than 1 GiB of memory"
    assert sorted(final.noise) == sorted(f"{told[name]} {short}" for name in fails)


@pytest.mark.parametrize(("fails", "out_of_memory"), [(RESULT, True), (FP32, True), (TORCH, False)])
def test_other_failures_are_failures(stopwatch, monkeypatch, tmp_path, fails, out_of_memory):
    race(monkeypatch, fails=[fails], out_of_memory=out_of_memory)
    with pytest.raises(WorkerFailed):
        stopwatch.final(tmp_path / "small.onnx", runtime="onnxruntime")
