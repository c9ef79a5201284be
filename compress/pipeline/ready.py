"""Whether what comes before and after a model's graph can be made, before anything is compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compress.core.profile import ModelKind
from compress.graph.session import TensorSpec
from compress.model.inputs import inputs_of
from compress.model.load import empty_module
from compress.runtime.embed import load_head
from compress.runtime.preprocess import load_preprocessor

if TYPE_CHECKING:
    from compress.model.resolve import Model


def check_ready(model: Model) -> None:
    """Refuse a model whose processor or whose modules after the body are not supported.

    Texts are looked at by `compress.pipeline.tokenizer`.

    Args:
        model: The resolved checkpoint.

    Raises:
        CompressError: The processor is missing, damaged or of an unsupported kind, or `modules.json` lists a
            module that cannot be run.
    """
    if model.task == "feature-extraction":
        load_head(model.folder)
    if model.kind in (ModelKind.ENCODER, ModelKind.DECODER):
        return
    inputs = inputs_of(empty_module(model.folder, model.task), model.folder)
    length = inputs.item or (None,)
    specs = [TensorSpec(name, "float32", (None, *length)) for name in inputs.names]
    load_preprocessor(model.folder, task=model.task, inputs=specs)
