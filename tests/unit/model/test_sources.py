from __future__ import annotations

import struct

from transformers.utils import logging

from compress.model import resolve, sources


def test_a_gguf_is_converted_without_the_bars_of_transformers(tmp_path, monkeypatch):
    seen, said = [], []

    def convert(path, folder):
        seen.append(logging.is_progress_bar_enabled())
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(sources, "_convert", convert)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    folder = sources.gguf_folder(file, cache=tmp_path / "cache", note=said.append)
    assert seen == [False]
    assert logging.is_progress_bar_enabled()
    assert said == ["dequantizing model.gguf to fp32"]
    assert (folder / "config.json").exists()
    sources.gguf_folder(file, cache=tmp_path / "cache", note=said.append)
    assert len(seen) == 1


def test_demo_is_the_extras_model_whatever_lies_here(tmp_path, monkeypatch):
    said = []
    (tmp_path / "extra").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "demo_folder", lambda: tmp_path / "extra")

    def find(ref):
        return resolve._find(ref, offline=True, cache=tmp_path, note=said.append)[0]

    assert find("demo") == tmp_path / "extra"
    assert said == []
    (tmp_path / "demo").mkdir()
    assert find("demo") == tmp_path / "extra"
    assert "./demo" in said[0]
    assert find("./demo").resolve() == tmp_path / "demo"
