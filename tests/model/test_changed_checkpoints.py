"""Recipes that change a checkpoint before its export: fewer tokens, healed, then published."""

from __future__ import annotations

import json

import numpy as np
import pytest

import compress
from tests import tiny

pytestmark = pytest.mark.model

WORDS = [word for word in tiny.TEXT.split() if word.isalpha()]

RECIPE = """
steps:
  - prune.vocabulary: {min_count: 2}
  - heal.distill: {steps: 6, batch: 8}
"""


@pytest.fixture(scope="module")
def outcome(tiny_models, tmp_path_factory):
    root = tmp_path_factory.mktemp("changed")
    random = np.random.default_rng(0)
    for name, count in (("judged", 120), ("free", 80)):
        lines = [" ".join(random.choice(WORDS, random.integers(3, 12))) for _ in range(count)]
        (root / f"{name}.txt").write_text("\n".join([*lines, "zebra"]) + "\n")
    (root / "recipe.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESS_CACHE", str(root / "cache"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        return compress.run(
            tiny_models("bert"), recipe=str(root / "recipe.yaml"), data=str(root / "judged.txt"),
            calibration=[str(root / "free.txt")], max_drop="300pt", target="raspberry-pi-5",
            out=str(root / "out"),
        )  # fmt: skip


def test_it_is_published_with_its_own_tokenizer(outcome):
    assert outcome.folder is not None
    config = json.loads((outcome.folder / "config.json").read_text())
    assert config["vocab_size"] < 160
    model = compress.load(outcome.folder)
    vectors = model.encode(["the quick brown fox", "zebra", "0 1 2 ?!"])
    assert np.isfinite(vectors).all()


def test_no_work_of_a_step_is_left(outcome):
    assert not list((outcome.folder.parent / "cache" / "steps").glob("*.work"))
    assert not (outcome.folder / "step.json").exists()


def test_the_report_tells_what_the_steps_did(outcome):
    told = {line.name: line.why for line in outcome.report.steps}
    assert "tokens kept" in told["prune.vocabulary"]
    assert " steps over " in told["heal.distill"]
    notes = " ".join(outcome.evidence.notes)
    assert "tokens of the judged text" in notes
    assert "on other articles than those that were mixed in" in notes
    assert outcome.evidence.elsewhere.same_domain
    assert outcome.evidence.elsewhere.accuracy.metric == "similarity_rank"
    assert outcome.evidence.data["calibration_rows"] in (80, 81)  # the last, `zebra`, may be judged


def test_the_way_to_make_it_again_is_whole(outcome):
    from compress.report.reproduce import command, recipe

    assert "--calibration=" in command(outcome.report, outcome.evidence)
    text = recipe(outcome.report, outcome.evidence)
    assert text.count("export.onnx") == 1
    assert text.index("heal.distill") < text.index("export.onnx")
