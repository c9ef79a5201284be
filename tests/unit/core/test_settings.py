import pytest

from compress.core.errors import CompressError
from compress.core.settings import layered


def test_a_label_map_is_words_or_a_mapping(tmp_path):
    (tmp_path / "compress.yaml").write_text("label_map: {negative: 0, positive: good}\n")
    read = layered({}, folder=tmp_path, environment={})
    assert read.values.label_map == {"negative": 0, "positive": "good"}
    flags = {"label_map": "negative=0,positive=1"}
    read = layered(flags, folder=tmp_path, environment={})
    assert read.values.label_map == "negative=0,positive=1"
    read = layered({}, folder=tmp_path, environment={"COMPRESS_LABEL_MAP": "map.json"})
    assert (read.values.label_map, read.origins["label_map"]) == ("map.json", "environment")


def test_the_strongest_layer_wins_and_is_named(tmp_path):
    (tmp_path / "compress.yaml").write_text("target: laptop\nmax_drop: 2%\nseed: 3\n")
    environment = {"COMPRESS_TARGET": "cpu-avx2", "COMPRESS_MAX_DROP": "1%", "HOME": "/"}
    found = layered({"target": "cpu", "seed": None}, folder=tmp_path, environment=environment)
    assert (found.values.target, found.origins["target"]) == ("cpu", "flag")
    assert (found.values.max_drop, found.origins["max_drop"]) == ("1%", "environment")
    assert (found.values.seed, found.origins["seed"]) == (3, "file")
    assert found.origins["out"] == "default"
    assert found.is_set("seed")
    assert not found.is_set("out")


def test_the_nearest_file_is_read(tmp_path):
    inner = tmp_path / "project" / "sub"
    inner.mkdir(parents=True)
    (tmp_path / "compress.yaml").write_text("seed: 1\n")
    (tmp_path / "project" / "pyproject.toml").write_text("[tool.compress]\nseed = 2\n")
    assert layered({}, folder=inner, environment={}).values.seed == 2


def test_a_pyproject_of_others_is_passed_by(tmp_path):
    inner = tmp_path / "sub"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "compress.yaml").write_text("seed: 1\n")
    assert layered({}, folder=inner, environment={}).values.seed == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("tarket: cpu\n", "did you mean 'target'"), ("seed: many\n", "seed"), ("- a\n- b\n", "mapping"),
     ("a: [\n", "not YAML")],
)  # fmt: skip
def test_a_wrong_file_is_told_with_its_place(tmp_path, text, message):
    (tmp_path / "compress.yaml").write_text(text)
    with pytest.raises(CompressError, match="settings-invalid|mapping") as caught:
        layered({}, folder=tmp_path, environment={})
    assert message in f"{caught.value} {caught.value.hint}"
    assert "compress.yaml" in str(caught.value)
