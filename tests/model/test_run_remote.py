"""`compress run --remote`: made and judged here, timed on a device: this machine, by way of a real sshd."""

from __future__ import annotations

import json
import sys

import pytest

from tests.unit.measure.test_remote import daemon, device_host  # noqa: F401 (fixtures)

pytestmark = pytest.mark.model


def test_speed_is_the_devices(device_host, tiny_models, cli, tmp_path):  # noqa: F811
    recipe = tmp_path / "small.yaml"
    recipe.write_text("steps:\n  - quantize.dynamic: {minimum_elements: 64}\n")
    remote = ["--remote", device_host, "--remote-python", sys.executable, "--seconds", 0.2]
    words = ["--recipe", recipe, "--max-drop", "90%", "--limit", 120, "--out", "made", "--json"]
    done = cli("run", tiny_models("bert"), *remote, *words)
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["target"]["host"].startswith("device, ")
    assert report["target"]["measured"]
    assert report["baselines"]["torch"] is None
    assert report["baselines"]["onnxruntime_fp32"]["latency_ms"]["p50"] > 0
    assert report["speedup"]["vs_onnxruntime_fp32"]["value"] > 0
    assert cli("verify", "made").code == 0


def test_what_a_device_cannot_time_is_refused(device_host, tiny_models, cli):  # noqa: F811
    remote = ["--remote", device_host, "--remote-python", sys.executable]
    done = cli("run", tiny_models("llama"), *remote)
    assert done.code == 2
    assert "remote-unsupported" in done.err
    assert "needs a MODEL" in cli("run", *remote).err
