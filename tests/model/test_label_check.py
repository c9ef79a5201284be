"""A run refuses labels that the model's own predictions contradict, before anything is compressed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from compress.core.errors import CompressError
from tests import samples

CLASSES = ["wine", "milk", "beer", "tea"]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory, tiny_models):
    """A classifier of four classes, texts, and the class of each by the model itself."""
    import transformers

    from tests import tiny

    folder = tmp_path_factory.mktemp("knowing") / "model"
    torch.manual_seed(0)
    kind = transformers.BertForSequenceClassification
    model = kind(kind.config_class(**tiny.TEXT_SIZES, num_labels=4)).eval()
    tiny.spread(model, 0)
    tiny.tokenizer(folder)
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    lines = samples.texts(folder / "lines.txt", items=160).read_text().splitlines()
    with torch.no_grad():
        logits = torch.cat([model(**reader(line, return_tensors="pt")).logits for line in lines])
        model.classifier.bias -= logits.mean(0)
        scale = logits.std(0)
        model.classifier.weight /= scale[:, None]
        model.classifier.bias /= scale
        best = [int(model(**reader(line, return_tensors="pt")).logits.argmax()) for line in lines]
    model.save_pretrained(folder)
    assert set(best) == {0, 1, 2, 3}
    return folder, lines, best


def write(path, lines, labels):
    rows = zip(lines, labels, strict=True)
    path.write_text("text\tlabel\n" + "".join(f"{line}\t{label}\n" for line, label in rows))
    return path


def compress(*_, **__):
    """Stand in for what a run does after its labels were checked."""
    raise CompressError("test", "compressing")


WORDS = ("--recipe", "fp32", "--allow-fp32", "--seconds", "0", "--max-drop", "5%", "--out", "out")


def test_a_wrong_map_is_refused_and_the_right_one_goes_through(knowing, cli):
    folder, lines, best = knowing
    names = [CLASSES[number] for number in best]
    data = write(Path("names.tsv"), lines, names)
    called = cli("run", folder, "--data", data, *WORDS)
    assert called.code == 2
    assert "error[label-ambiguous]" in called.err
    assert "--label-map" in called.err
    assert not Path("out").exists()
    stated = ",".join(f"{name}={number}" for number, name in enumerate(CLASSES))
    called = cli("run", folder, "--data", data, *WORDS, "--label-map", stated)
    assert called.code in (0, 4), called.err
    assert "label map: wine -> 0, milk -> 1, beer -> 2, tea -> 3" in called.err
    evidence = json.loads(Path("out/evidence.json").read_text())
    assert evidence["data"]["label_map"] == {name: number for number, name in enumerate(CLASSES)}
    assert any("label map: wine -> 0" in line for line in evidence["notes"])
    assert json.loads(Path("out/report.json").read_text())["accuracy"]["baseline"] > 0.98
    assert cli("eval", "out", "--data", data, "--label-map", stated).code == 0
    assert "label-ambiguous" in cli("eval", "out", "--data", data).err


def test_a_baseline_at_chance_is_refused_unless_told_otherwise(knowing, cli, monkeypatch):
    folder, lines, best = knowing
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": dict(enumerate(CLASSES)), "label2id": {n: i for i, n in enumerate(CLASSES)}}
    wrong = write(Path("wrong.tsv"), lines, [CLASSES[(number + 1) % 4] for number in best])
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("compress.pipeline.run.make_candidates", compress)
    called = cli("run", folder, "--data", wrong, *WORDS)
    assert called.code == 2
    assert "error[label-chance]: the model scores 0.0" in called.err
    assert "is the label map right?" in called.err
    called = cli("run", folder, "--data", wrong, *WORDS, "--allow-chance")
    assert "error[test]: compressing" in called.err


def test_plan_refuses_labels_that_run_refuses(knowing, cli):
    folder, lines, _ = knowing
    data = write(Path("five.tsv"), lines, [f"class {number % 5}" for number in range(len(lines))])
    refusals = [cli(verb, folder, "--data", data).err.splitlines() for verb in ("plan", "run")]
    first, second = ([line for line in lines if "error[label-unknown]" in line] for lines in refusals)
    assert first == second
    assert len(first) == 1
