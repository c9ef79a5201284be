from __future__ import annotations

import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.core.errors import CompressError
from compress.core.recipe import Recipe, Step
from compress.pipeline.manifest import Source, read_manifest, verify_folder, write_manifest
from tests.unit.report import example

FACTS = {
    "created": "2026-11-23T00:12:41+00:00",
    "task": "feature-extraction",
    "source": Source(ref="org/name@abc", revision="abc", digest="d" * 64),
    "recipe": Recipe(name="int8", steps=(Step(name="quantize.dynamic", config={"weights": "int8"}),)),
    "seed": 0,
    "host": {"cpu": "x", "cores": 2},
    "versions": {"compress": "0.1.0"},
}


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "model.onnx").write_bytes(bytes(range(256)))
    (folder / "empty").touch()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling": "mean"}', encoding="utf8")
    (folder / "report.json").write_text(example.report().model_dump_json(indent=2), encoding="utf8")
    write_manifest(folder, **FACTS)
    return folder


@pytest.fixture
def folder(sealed, tmp_path):
    return shutil.copytree(sealed, tmp_path / "copy", symlinks=True)


def problems(folder):
    try:
        return verify_folder(folder)
    except CompressError as error:
        assert error.code == "manifest-invalid"
        assert "\n" not in str(error)
        return [str(error)]


def test_a_folder_as_published_has_no_problem(folder):
    assert verify_folder(folder) == []
    manifest = read_manifest(folder)
    assert set(manifest.files) == {"model.onnx", "empty", "1_Pooling/config.json", "report.json"}
    assert manifest.recipe.steps == FACTS["recipe"].steps


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipping_any_bit_of_any_byte_is_found(sealed, data):
    files = [path for path in sorted(sealed.rglob("*")) if path.is_file() and path.stat().st_size]
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        path.write_bytes(flipped)
        assert problems(sealed)
    finally:
        path.write_bytes(content)


def test_every_byte_of_the_manifest_counts(sealed):
    path = sealed / "compress.json"
    content = path.read_bytes()
    try:
        for place in range(len(content)):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0x20]) + content[place + 1 :])
            assert problems(sealed), f"byte {place}"
        for cut in (content[:-1], content + b"\n", b"", b"\xef\xbb\xbf" + content):
            path.write_bytes(cut)
            assert problems(sealed)
    finally:
        path.write_bytes(content)


def test_missing_added_truncated_and_swapped_files(folder):
    (folder / "empty").unlink()
    (folder / "1_Pooling" / "extra.txt").write_text("x", encoding="utf8")
    with (folder / "model.onnx").open("ab") as file:
        file.truncate(255)
    report = (folder / "report.json").read_bytes()
    (folder / "report.json").write_bytes(report[::-1])
    assert problems(folder) == [
        "1_Pooling/extra.txt: added",
        "empty: missing",
        "model.onnx: changed (expected 256 bytes, found 255)",
        "report.json: changed (its sha256 differs)",
    ]


def test_links_that_lead_out(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.move(folder / "model.onnx", outside / "model.onnx")
    (folder / "model.onnx").symlink_to(outside / "model.onnx")
    (folder / "more").symlink_to(outside)
    (folder / "gone").symlink_to("nowhere")
    found = "\n".join(problems(folder))
    assert "model.onnx: a link that leads out of the folder" in found
    assert "more: a link that leads out of the folder" in found
    assert "gone: a link to something that is no file" in found


def test_pipes_are_not_opened(folder):
    os.mkfifo(folder / "pipe")
    assert "pipe: no plain file" in problems(folder)


def resealed(folder, edit):
    """A manifest that was changed together with its digest."""
    from compress.pipeline import manifest

    values = json.loads((folder / "compress.json").read_text(encoding="utf8"))
    del values["digest"]
    edit(values)
    text = manifest._canonical({**values, "digest": manifest._digest(values)})
    (folder / "compress.json").write_text(text, encoding="utf8")


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "a/../../secret", "C:/x", "a\\b", "", ".", "./model.onnx", "compress.json"],
)
def test_names_that_escape_are_told_and_not_opened(folder, name):
    (folder.parent / "secret").write_bytes(b"secret")
    facts = {"sha256": "0" * 64, "size": 1}
    resealed(folder, lambda values: values["files"].update({name: facts}))
    assert problems(folder) == [f"{name!r}: names a place outside the folder"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda values: values.update(surprise=1),
        lambda values: values.update(schema_version=2),
        lambda values: values["files"]["empty"].update(sha256="xyz"),
        lambda values: values["files"]["empty"].update(size=-1),
        lambda values: values.pop("source"),
    ],
)
def test_another_schema_is_refused(folder, edit):
    resealed(folder, edit)
    with pytest.raises(CompressError, match="manifest-invalid"):
        verify_folder(folder)


def test_no_manifest(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CompressError, match="manifest-missing"):
            verify_folder(folder)


def test_what_is_no_plain_file_is_not_published(tmp_path):
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(CompressError, match="leads out"):
        write_manifest(tmp_path, **FACTS)


def test_the_same_folder_gives_the_same_manifest(folder):
    before = (folder / "compress.json").read_bytes()
    write_manifest(folder, **FACTS)
    assert (folder / "compress.json").read_bytes() == before
