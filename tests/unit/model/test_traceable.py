from __future__ import annotations

import pytest

from compress.core.errors import CompressError
from compress.model.traceable import refuse_untraceable


@pytest.mark.parametrize(
    "kind",
    [
        "xlnet",
        "funnel",
        "longformer",
        "mamba",
        "mamba2",
        "canine",
        "rwkv",
        "nystromformer",
        "cpmant",
        "pixtral",
    ],
)
def test_what_is_missing_is_said(kind):
    with pytest.raises(CompressError, match=f"'{kind}' models cannot be exported") as caught:
        refuse_untraceable({"model_type": kind})
    assert caught.value.code == "architecture-untraceable"


@pytest.mark.parametrize("config", [{"model_type": "bert"}, {}])
def test_others_are_tried(config):
    refuse_untraceable(config)
