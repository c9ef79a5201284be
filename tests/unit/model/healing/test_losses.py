from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from compress.model.healing import losses
from compress.model.healing.answers import Answer, answer
from compress.model.healing.batches import Batch
from compress.model.healing.tokens import shared
from compress.runtime.pooling import MODES, pool


def random(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def plain_batch(batch, length, *, places=None, labels=None):
    feeds = {"input_ids": torch.ones(batch, length, dtype=torch.int64)}
    return Batch(student=feeds, teacher=feeds, places=places, labels=labels)


def test_embeddings_are_compared_as_the_prototype_did():
    ours, theirs = random(0, 5, 8), random(1, 5, 8)
    a, b = (one.numpy() / np.linalg.norm(one.numpy(), axis=1, keepdims=True) for one in (ours, theirs))
    expected = 10 * (1 - (a * b).sum(1)).mean() + 20 * np.square(a @ a.T - b @ b.T).mean()
    assert losses.embedding_loss(ours, theirs).item() == pytest.approx(expected, rel=1e-5)
    assert losses.embedding_loss(3 * theirs, theirs).item() == pytest.approx(0, abs=1e-5)


def test_embeddings_of_another_width_are_compared_by_similarities():
    basis = torch.linalg.qr(random(2, 8, 8)).Q
    theirs = random(1, 5, 4)
    ours = torch.nn.functional.pad(theirs, (0, 4)) @ basis
    assert losses.embedding_loss(ours, theirs).item() == pytest.approx(0, abs=1e-5)


def test_divergence_is_kullback_and_leiblers():
    ours, theirs = random(0, 6, 5), random(1, 6, 5)
    p, q = (log_softmax(one.numpy().astype(np.float64) / 2, axis=-1) for one in (theirs, ours))
    expected = 4 * (np.exp(p) * (p - q)).sum(-1).mean()
    assert losses.divergence(ours, theirs, temperature=2.0).item() == pytest.approx(expected, rel=1e-5)


def test_hidden_states_of_padding_do_not_count():
    ours, theirs = random(0, 2, 3, 4), random(1, 2, 3, 4)
    mask = torch.tensor([[1.0, 1, 0], [1, 0, 0]])
    kept = mask.bool().numpy()
    a, b = ours.numpy()[kept], theirs.numpy()[kept]
    expected = np.square(a - b).sum() / np.square(b).sum()
    assert losses.relative_error(ours, theirs, mask).item() == pytest.approx(expected, rel=1e-5)


def test_positions_are_compared_where_tokens_align():
    """The teacher has a token more at the start; the second row's last token has no counterpart."""
    theirs, vocabulary = random(1, 2, 4, 6), torch.tensor([5, 3, -1, 0])
    places = torch.tensor([[1, 2, 3], [1, 2, -1]])
    ours = random(2, 2, 3, 4)
    kept = places >= 0
    aligned = torch.stack([theirs[0, [1, 2, 3]], theirs[1, [1, 2, 0]]])[kept][:, [5, 3, 0]]
    expected = losses.divergence(ours[kept][:, [0, 1, 3]], aligned, temperature=1.0)
    hidden = {"hidden": None, "mask": None, "pooled": None}
    found = losses.Losses(shared(vocabulary)).of(
        Answer(**hidden, logits={"logits": ours}), Answer(**hidden, logits={"logits": theirs}),
        plain_batch(2, 3, places=places),
    )  # fmt: skip
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_token_that_is_spelled_counts_as_its_first_piece():
    """Of the teacher's tokens 1 and 4 the student spells: they begin with its 2 and its 0."""
    theirs, ours, vocabulary = random(1, 3, 6), random(2, 3, 3), torch.tensor([5, -1, 3])
    firsts = torch.tensor([-1, 2, 1, 2, 0, 0])  # and its token 1 is none of the teacher's
    p = np.exp(log_softmax(theirs.numpy()[:, [5, 3, 1, 4]].astype(np.float64), axis=-1))
    p = np.stack([p[:, 0] + p[:, 3], p[:, 1] + p[:, 2]], axis=1)
    q = log_softmax(ours.numpy()[:, [0, 2]].astype(np.float64), axis=-1)
    expected = (p * (np.log(p) - q)).sum(-1).mean()
    found = losses.position_loss(ours, theirs, shared(vocabulary, firsts))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_where_the_teacher_has_no_say_the_next_piece_is_known():
    """Tokens 1 and 2 of the first row are inside of what the teacher reads at once; the second is padded."""
    ours, theirs = random(0, 2, 5, 4), random(1, 2, 3, 4)
    ids, mask = torch.tensor([[0, 1, 2, 3, 1], [2, 1, 0, 0, 0]]), torch.ones(2, 5, dtype=torch.int64)
    mask[1, 2:] = 0
    places = torch.tensor([[0, -1, -1, 1, 2], [0, 1, -1, -1, -1]])
    feeds = {"input_ids": ids, "attention_mask": mask}
    batch = Batch(student=feeds, teacher=feeds, places=places)
    own, other = (
        Answer(hidden=None, mask=None, pooled=None, logits={"logits": one}) for one in (ours, theirs)
    )
    logs = log_softmax(ours.numpy().astype(np.float64), axis=-1)
    more = -(logs[0, 1, 2] + logs[0, 2, 3]) / 5  # of five positions that are compared
    found = losses.Losses(causal=True).of(own, other, batch) - losses.Losses().of(own, other, batch)
    assert found.item() == pytest.approx(more, rel=1e-4)


def test_many_positions_are_compared_in_pieces():
    ours, theirs = random(0, 1100, 7), random(1, 1100, 7)
    whole = losses.divergence(ours, theirs, temperature=1.0)
    assert losses.position_loss(ours, theirs, None).item() == pytest.approx(whole.item(), rel=1e-5)


def test_labels_count_where_rows_have_them():
    logits = random(0, 4, 3)
    same = Answer(hidden=None, mask=None, pooled=None, logits={"logits": logits})
    labels = torch.tensor([0, 1, 2, 0])
    without = losses.Losses().of(same, same, plain_batch(4, 2))
    found = losses.Losses().of(same, same, plain_batch(4, 2, labels=labels))
    expected = -log_softmax(logits.numpy(), axis=-1)[np.arange(4), labels.numpy()].mean() / 2
    assert without.item() == pytest.approx(0, abs=1e-6)
    assert found.item() == pytest.approx(expected, rel=1e-5)


class Hidden(torch.nn.Module):
    """Its hidden states are its input."""

    def forward(self, values, attention_mask, return_dict):
        return {"last_hidden_state": values}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("left", [False, True])
def test_pooling_is_what_runs_behind_the_graph(mode, left):
    hidden, mask = random(0, 3, 5, 4), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]])
    mask = mask.flip(1) if left else mask
    found = answer(Hidden(), {"values": hidden, "attention_mask": mask}, pooling=(mode,), states=False)
    np.testing.assert_allclose(
        found.pooled, pool(hidden.numpy(), mask.numpy(), (mode,)), rtol=1e-5, atol=1e-6
    )
