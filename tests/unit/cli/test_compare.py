"""Two artifacts of a table of embeddings each, judged and timed side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from compress.cli.main import main
from tests.unit.cli.artifact import WORDS, publish

TABLE = np.random.default_rng(3).normal(size=(len(WORDS), 4)).astype(np.float32)
NOISE = np.random.default_rng(4).normal(size=TABLE.shape).astype(np.float32)
USUAL = ["a", "word", "of", "the", "text"]


def similarities(table, pairs):
    def vector(text):
        found = np.mean([table[WORDS.index(word)] for word in text.split()], axis=0)
        return found / np.linalg.norm(found)

    return [float(vector(left) @ vector(right)) for left, right in pairs]


@pytest.fixture(scope="module")
def pairs():
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(USUAL, 3)) for _ in range(60)]  # the graph has no mask
    return list(zip(texts[::2], texts[1::2], strict=True))


@pytest.fixture(scope="module")
def setting(tmp_path_factory, pairs):
    """The original, a noisy copy of it, the copy by another name, and labelled pairs."""
    root = tmp_path_factory.mktemp("compare")
    publish(root / "good", table=TABLE)
    publish(root / "noisy", table=TABLE + NOISE)
    labels = np.array(similarities(TABLE, pairs)) + np.random.default_rng(1).normal(0, 0.1, len(pairs))
    rows = [f"{left},{right},{label}" for (left, right), label in zip(pairs, labels, strict=True)]
    (root / "pairs.csv").write_text("\n".join(["sentence1,sentence2,score", *rows]) + "\n")
    return root, labels


@pytest.fixture(scope="module")
def document(setting):
    from compress.core.artifact import Silent
    from compress.core.settings import Settings
    from compress.pipeline.compare import compare
    from compress.pipeline.subjects import find_subject

    root, _ = setting
    subjects = [
        find_subject(str(root / name), task=None, offline=True, note=print) for name in ("good", "noisy")
    ]
    settings = Settings(data=str(root / "pairs.csv"), seconds=0.2)
    return compare(subjects, settings, progress=Silent())


def test_each_model_is_judged_on_the_same_items(document, setting, pairs):
    _, labels = setting
    for model, table in zip(document.models, (TABLE, TABLE + NOISE), strict=True):
        expected = spearmanr(similarities(table, pairs), labels).statistic
        assert model.standing.value == pytest.approx(expected, abs=1e-6)
        assert model.standing.items == len(pairs)


def test_the_drop_lies_in_its_interval_and_is_against_the_first(document):
    first, noisy = (model.standing for model in document.models)
    assert first.drop is None
    assert noisy.drop == pytest.approx(first.value - noisy.value)
    assert noisy.low < noisy.drop < noisy.high


def test_speed_and_size_are_there_for_each(document):
    first, noisy = document.models
    assert first.speedup is None
    assert set(noisy.speedup) == set(document.workloads) == {"latency", "throughput"}
    assert all(ratio.low < ratio.value < ratio.high for ratio in noisy.speedup.values())
    assert first.figures.size_bytes == noisy.figures.size_bytes > 0
    assert {(one.contender, one.workload) for one in document.samples} == {
        (model.name, workload) for model in document.models for workload in document.workloads
    }


def test_a_model_that_is_no_better_in_anything_does_not_beat(document):
    """Of equal size, the noisy one is less accurate: whatever their times, it cannot beat the other."""
    first, noisy = document.models
    assert noisy.name not in first.beaten_by


def test_on_the_command_line(setting, capsys, monkeypatch):
    root, _ = setting
    monkeypatch.chdir(root)
    words = ["good", "noisy", "--data", "pairs.csv", "--seconds", "0.1"]
    assert main(["compare", *words]) == 0
    captured = capsys.readouterr()
    assert "good" in captured.out
    assert "Spearman" in captured.out
    assert "On the front" in captured.out
    assert main(["compare", *words, "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in found["models"]] == ["good", "noisy"]


def test_without_answers_fidelity_is_to_the_first(setting, capsys, monkeypatch):
    root, _ = setting
    monkeypatch.chdir(root)
    (root / "texts.txt").write_text(
        "a word of\nof the text\nthe word a\na text of\nthe text word\nword of text\n"
    )
    assert main(["compare", "good", "noisy", "-d", "texts.txt", "--seconds", "0.1", "--json", "-q"]) == 0
    first, noisy = (one["standing"] for one in json.loads(capsys.readouterr().out)["models"])
    assert (first["metric"], first["kind"], first["value"]) == (
        "similarity_rank",
        "fidelity",
        pytest.approx(1),
    )
    assert noisy["value"] < 1
    assert noisy["low"] is None


@pytest.mark.parametrize(
    ("names", "code"), [(["good", "good"], "subject-twice"), (["good", "absent/x"], "offline-miss")]
)
def test_what_cannot_be_compared(setting, capsys, monkeypatch, names, code):
    root, _ = setting
    monkeypatch.chdir(root)
    assert main(["compare", *names, "--offline"]) == 2
    assert f"error[{code}]" in capsys.readouterr().err


def test_the_page_is_one_file_without_scripts(setting, capsys, monkeypatch):
    from tests.unit.report.pages import Page

    root, _ = setting
    monkeypatch.chdir(root)
    words = ["good", "noisy", "--data", "pairs.csv", "--seconds", "0.1", "-q", "--html", "page/all.html"]
    assert main(["compare", *words]) == 0
    text = (root / "page" / "all.html").read_text()
    page = Page(text)
    assert "Spearman" in text
    assert not page.all("script")
    assert all(link["href"].startswith(("#", "data:")) for link in [*page.all("a"), *page.all("link")])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(page.all("svg")) >= 8


def test_without_labels_the_uncompressed_model_is_the_reference(setting, tmp_path):
    from compress.core.artifact import Silent
    from compress.core.settings import Settings
    from compress.pipeline.compare import compare
    from compress.pipeline.subjects import find_subject

    root, _ = setting
    publish(tmp_path / "whole", table=TABLE, step="export.onnx")
    texts = [" ".join(np.random.default_rng(seed).choice(USUAL, 3)) for seed in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text", *texts]) + "\n")
    folders = (root / "noisy", root / "good", tmp_path / "whole")
    subjects = [find_subject(str(folder), task=None, offline=True, note=print) for folder in folders]
    settings = Settings(data=str(tmp_path / "texts.csv"), seconds=0.2)
    found = compare(subjects, settings, progress=Silent())
    assert [model.name for model in found.models] == [str(folders[place]) for place in (2, 0, 1)]
    assert found.models[0].standing.drop is None
    assert found.models[0].on_front
    assert found.models[1].standing.drop > 0
    assert f"without labels, compared with {folders[2]}" in found.notes
