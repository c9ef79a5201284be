"""The model that agreement is measured with."""

from __future__ import annotations

import pytest

from compress.pipeline.reference import reference_of
from compress.pipeline.subjects import Subject


class Sized(Subject):
    @property
    def size_bytes(self):
        return int(self.folder)


def subject(name, size, *, runtime="onnxruntime", source="s", compressed=False):
    return Sized(
        name=name, folder=size, task="fill-mask", runtime=runtime, source=source, compressed=compressed
    )


INT8 = subject("int8", 25, compressed=True)
INT4 = subject("int4", 14, compressed=True)
FP32 = subject("fp32", 90)
CHECKPOINT = subject("checkpoint", 45, runtime="torch")
OTHER = subject("other", 400, runtime="torch", source="t")


@pytest.mark.parametrize(
    ("subjects", "name"),
    [
        ([INT4, CHECKPOINT], "checkpoint"),
        ([INT4, FP32, INT8], "fp32"),
        ([INT4, FP32, CHECKPOINT], "checkpoint"),
        ([OTHER, INT8, CHECKPOINT], "checkpoint"),
        ([INT4, INT8], "int8"),
        ([OTHER, CHECKPOINT], "other"),
        ([INT8, OTHER], "other"),
    ],
)
def test_without_labels_it_is_the_uncompressed_one(subjects, name):
    assert reference_of(subjects, labelled=False).name == name
    assert reference_of(subjects, labelled=True) is subjects[0]
