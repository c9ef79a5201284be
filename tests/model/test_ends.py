"""Classifiers that answer at the last end of a text, without transformers' mask of ends, and with it."""

import pytest
import torch
import transformers

from compress.model.ends import end_of, gathering_by_position
from tests import tiny

pytestmark = pytest.mark.model

_T5 = dict(
    vocab_size=160, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=3,
    decoder_start_token_id=0,
)  # fmt: skip
CLASSIFIERS = [
    *((kind, tiny.BART) for kind in ("Bart", "MBart", "PLBart", "Mvp")),
    *((kind, _T5) for kind in ("T5", "MT5")),
]


def classifier(kind, values):
    architecture = getattr(transformers, f"{kind}ForSequenceClassification")
    torch.manual_seed(0)
    module = architecture(architecture.config_class(**values)).eval()
    tiny.spread(module, 0)
    return module


@pytest.mark.parametrize(("kind", "values"), CLASSIFIERS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_answer_is_the_same(kind, values, batch):
    module = classifier(kind, values)
    ids = torch.randint(4, 160, (batch, 12), generator=torch.Generator().manual_seed(batch))
    mask = torch.ones_like(ids)
    for row in range(batch):  # pairs of texts, each with its end, and padding after the second
        ids[row, [4, 11 - row]] = 3
        ids[row, 12 - row :], mask[row, 12 - row :] = 0, 0
    with torch.inference_mode():
        expected = module(input_ids=ids, attention_mask=mask).logits
        with gathering_by_position(module):
            found = module(input_ids=ids, attention_mask=mask)["logits"]
        again = module(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(again, expected)


def test_others_stay_as_they_are():
    module = transformers.BertForSequenceClassification(
        transformers.BertConfig(**{**tiny.TEXT_SIZES, "eos_token_id": 3})
    )
    forward = module.forward
    assert end_of(module) is None
    with gathering_by_position(module):
        assert module.forward == forward
