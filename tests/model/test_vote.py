"""`compress vote` over a tiny decoder and its copy."""

from __future__ import annotations

import json
import shutil

import pytest

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def artifact(published_decoder):
    return published_decoder


def test_votes_are_counted_and_priced(artifact, cli, tmp_path):
    other = shutil.copytree(artifact, tmp_path / "second")
    data = tmp_path / "questions.jsonl"
    rows = [{"question": f"the quick brown fox {at}", "answer": at} for at in range(4)]
    data.write_text("\n".join(json.dumps(row) for row in rows))
    words = ["vote", artifact, other, "--data", data, "--samples", 4, "--tokens", 4, "--price-per-hour", 1]
    done = cli(*words, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    first, second = found["voters"]
    # The same model with the same seeds says the same.
    assert first["accuracy"] == second["accuracy"]
    assert len(first["any_right"]) == 4
    assert first["any_right"] == sorted(first["any_right"])
    assert first["cost"]["usd"] == pytest.approx(first["seconds"] * 1000 / 3600)
    shown = cli(*words, "-q")
    assert "Accuracy against samples, 4 questions" in shown.out


def test_what_cannot_vote_is_refused(artifact, cli, tmp_path):
    assert "data-needed" in cli("vote", artifact).err
    data = tmp_path / "texts.csv"
    data.write_text("question,other\nhow much,1\n")
    assert "column-missing" in cli("vote", artifact, "--data", data).err
