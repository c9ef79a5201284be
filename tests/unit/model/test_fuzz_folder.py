"""Damaged files of a checkpoint are refused in one line, or are what transformers can be given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from compress.model.folder import check_folder
from compress.model.plausible import refuse_implausible
from compress.model.safety import read_headers, read_json
from tests.bench.reliability import mutate
from tests.bench.reliability.inputs import Reader
from tests.unit.model.test_folder import GOOD

SHARD = "model-00001-of-00002.safetensors"


def documents(data: bytes, random) -> bytes:
    return mutate.documents(json.loads(data), random).encode("utf8", "surrogatepass")


def read(path: Path) -> None:
    folder = path.parent
    check_folder(folder)
    refuse_implausible(read_json(folder / "config.json", code="config-missing"), read_headers(folder))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    root = tmp_path_factory.mktemp("seeds")
    folder = root / "model"
    folder.mkdir()
    for name, values in GOOD.items():
        (folder / name).write_text(json.dumps(values), encoding="utf8")
    save_file({name: np.zeros((4, 4), np.float32) for name in "abcd"}, folder / SHARD)
    found = {name: Reader(name, folder, name, documents, read) for name in GOOD}
    return found | {SHARD: Reader(SHARD, folder, SHARD, mutate.safetensors, read)}, root / "work" / "input"


@pytest.mark.parametrize("name", [*GOOD, SHARD])
def test_a_damaged_checkpoint_is_taken_or_refused_in_one_line(name, known) -> None:
    readers, target = known

    @settings(max_examples=60)
    @given(seed=st.integers(0, 2**32))
    def check(seed: int) -> None:
        readers[name].check(target, seed)

    check()
