"""The accuracy level that is chosen by measurement, and what decides."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from compress.core.artifact import Artifact, ArtifactKind, Context, Fixed, Silent
from compress.core.profile import load_profile
from compress.decoder.accuracy import LIMIT, Level, choose, measure
from compress.graph.ort import OrtRunner
from compress.passes.export import genai
from compress.passes.quantize import round as rounding

pytestmark = pytest.mark.model


@pytest.mark.parametrize(
    ("decode_ms", "divergence", "expected"),
    [(1.0, 0.0, 4), (2.1, 0.0, 4), (2.3, 0.0, 1), (1.0, 2 * LIMIT, 1)],
)
def test_fp32_is_kept_where_it_is_clearly_faster_or_rounding_costs(decode_ms, divergence, expected):
    exact = Level(1, decode_ms=2.0, prefill_ms=1.0)
    assert choose([exact, Level(4, decode_ms=decode_ms, prefill_ms=1.0, divergence=divergence)]) == expected


def test_the_graph_has_the_level_that_was_measured(tiny_models, tmp_path):
    windows = np.random.default_rng(0).integers(4, 160, (4, 48))
    artifact = Artifact(
        kind=ArtifactKind.CHECKPOINT, folder=tiny_models("llama-wide"), task="text-generation"
    )
    for step, config in ((rounding, {"group_size": 16}), (genai, {"accuracy_level": "auto"})):
        folder = tmp_path / step.__name__
        folder.mkdir()
        context = Context(
            folder=folder,
            calibration=Fixed(windows=windows),
            profile=load_profile("cpu"),
            progress=Silent(),
        )
        artifact = step.apply(artifact, step.Config(**config), context)
    facts = json.loads((artifact.folder / "export.json").read_text())["accuracy_level"]
    assert {one["level"]: one["divergence"] for one in facts["measured"]}[1] == 0.0
    nodes = onnx.load(str(artifact.graph), load_external_data=False).graph.node
    levels = {a.i for node in nodes for a in node.attribute if a.name == "accuracy_level"}
    assert levels == {facts["chosen"]}
    runner = OrtRunner(artifact.graph)
    again = measure(lambda level: runner, windows)
    assert [one.divergence for one in again] == [0.0, 0.0]


def test_what_is_measured_depends_on_rows_and_host():
    assert genai.calibrated(genai.Config(accuracy_level="auto"))
    assert genai.timed(genai.Config(accuracy_level="auto"))
    assert not genai.calibrated(genai.Config())
    assert not genai.timed(genai.Config())
