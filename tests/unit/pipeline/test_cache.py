from compress.pipeline.cache import Cleaned, cache_folder, cached_bytes, clean, package_versions, step_key


def test_a_key_changes_with_all_that_shapes_a_result():
    def key(parent="a", step="s", config=None, inputs=None):
        return step_key(parent, step=step, config=config or {}, inputs=inputs or {})

    assert key() == key()
    others = [key(parent="b"), key(step="t"), key(config={"x": 1}), key(inputs={"seed": "1"})]
    assert len({key(), *others}) == 5


def test_the_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COMPRESS_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("COMPRESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "compress"


def test_clean_removes_what_is_ours_and_tells_how_much(tmp_path):
    (tmp_path / "steps" / "k").mkdir(parents=True)
    (tmp_path / "steps" / "k" / "a").write_bytes(b"12345")
    (tmp_path / "steps" / "k" / "b").hardlink_to(tmp_path / "steps" / "k" / "a")
    (tmp_path / "mine").write_bytes(b"123")
    assert cached_bytes(tmp_path) == 8
    assert clean(tmp_path) == Cleaned(freed_bytes=5, in_use=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_versions_name_this_tool():
    assert {"compress", "torch", "onnxruntime"} <= set(package_versions())
    assert "no-such-package" not in package_versions(("no-such-package",))
