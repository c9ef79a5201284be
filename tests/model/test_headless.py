"""Language models that learn without logits have the gradients of those that have them."""

from __future__ import annotations

import pytest
import torch

from compress.model.healing import loop, losses
from compress.model.healing.answers import answer
from compress.model.healing.batches import Batch
from compress.model.healing.head import Heads, find_head
from compress.model.healing.loop import Healer, Schedule
from compress.model.healing.losses import Losses
from compress.model.healing.teacher import Teacher
from compress.model.healing.tokens import shared
from compress.model.load import load_module
from tests import tiny

pytestmark = pytest.mark.model


def ids(*shape, seed=0, most=150):
    return torch.randint(5, most, shape, generator=torch.Generator().manual_seed(seed))


def changed(folder, task, seed=0):
    """The model with noise: a student."""
    torch.manual_seed(seed)
    module = load_module(folder, task)
    with torch.no_grad():
        for one in module.parameters():
            one += 0.1 * one.std().nan_to_num() * torch.randn(one.shape)
    return module


def fewer_tokens(module, numbers):
    """The model with some of its tokens alone."""
    module.resize_token_embeddings(len(numbers))
    return module


def batch_of(*, padded, places=None):
    mask = torch.ones(3, 12, dtype=torch.int64)
    if padded:
        mask[1, 7:], mask[2, 3:] = 0, 0
    feeds = {"input_ids": ids(3, 12, most=90), "attention_mask": mask}
    return Batch(student=feeds, teacher=feeds, places=places)


def gradients_of(student, teacher, batch, vocabulary, *, headless):
    heads = None
    if headless:
        few = batch.rows(slice(1))
        heads = Heads(find_head(student, few.student), find_head(teacher, few.teacher), vocabulary)
    own = Losses(vocabulary, heads, causal=True)
    with torch.no_grad():
        theirs = answer(teacher, batch.teacher, states=True, head=heads and heads.teacher)
    ours = answer(student, batch.student, states=True, head=heads and heads.student)
    assert (ours.features is None) == bool(ours.logits) == (not headless)
    loss = own.of(ours, theirs, batch)
    student.zero_grad()
    loss.backward()
    return loss.item(), {
        name: one.grad.clone() for name, one in student.named_parameters() if one.grad is not None
    }


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert-mask", "modernbert", "gemma3-wide"])
@pytest.mark.parametrize("case", ["plain", "padded", "other tokens"])
def test_gradients_are_those_of_whole_logits(name, case, tiny_copy):
    folder, task = tiny_copy(name), (tiny.ARCHITECTURES | tiny.CACHED)[name][2]
    student, teacher = changed(folder, task), load_module(folder, task)
    vocabulary, places = None, None
    if case == "other tokens":
        student = fewer_tokens(student, range(100))
        numbers = torch.arange(100) + 3
        numbers[90:] = -1
        firsts = torch.full((teacher.config.vocab_size,), -1)
        firsts[93:] = torch.arange(len(firsts) - 93) % 80
        vocabulary = shared(numbers, firsts)
        places = torch.arange(12).repeat(3, 1).roll(1, dims=1)
        places[0, 4], places[2, 5:] = -1, -1
    batch = batch_of(padded=case == "padded", places=places)
    loss, expected = gradients_of(student, teacher, batch, vocabulary, headless=False)
    found, gradients = gradients_of(student, teacher, batch, vocabulary, headless=True)
    assert loss > 1e-5
    assert found == pytest.approx(loss, rel=1e-5)
    assert gradients.keys() == expected.keys()
    for key, one in gradients.items():
        largest = max(other.abs().max().item() for other in expected.values())
        assert torch.allclose(one, expected[key], rtol=1e-4, atol=1e-5 * largest), key


def test_a_tied_head_is_found_and_put_back(tiny_copy):
    folder, task = tiny_copy("gpt2"), "text-generation"
    module, feeds = load_module(folder, task), {"input_ids": ids(1, 8)}
    assert module.lm_head.weight is module.transformer.wte.weight
    head = find_head(module, feeds)
    assert head is not None
    assert head.last
    assert head.linear is module.lm_head
    assert module(**feeds).logits.shape == (1, 8, module.config.vocab_size)


class Changed(torch.nn.Module):
    """A language model with something behind its head."""

    def __init__(self, module, change):
        super().__init__()
        self.module, self.change = module, change

    def get_output_embeddings(self):
        return self.module.get_output_embeddings()

    def forward(self, **given):
        result = self.module(**given)
        result["logits"] = self.change(result["logits"])
        return result


@pytest.mark.parametrize(
    "change", [lambda x: 0.1 * torch.tanh(10 * x), lambda x: x + 0.01, lambda x: x.abs()]
)
def test_logits_that_are_no_product_are_left_whole(change, tiny_copy):
    module = Changed(load_module(tiny_copy("llama"), "text-generation"), change)
    assert find_head(module, {"input_ids": ids(1, 8)}) is None


def test_scaled_logits_are_products_of_scaled_features(tiny_copy):
    """As Cohere and Granite have them."""
    module = Changed(load_module(tiny_copy("llama"), "text-generation"), lambda x: 0.25 * x)
    feeds = {"input_ids": ids(1, 8)}
    head = find_head(module, feeds)
    assert head is not None
    assert not head.last
    with torch.no_grad():
        found = answer(module, feeds, states=True, head=head)
        assert torch.allclose(head.linear(found.features), module(**feeds).logits, atol=1e-6)


def test_models_without_a_head_have_none(tiny_copy):
    module = load_module(tiny_copy("bert"), "feature-extraction")
    assert find_head(module, {"input_ids": ids(1, 8)}) is None


@pytest.mark.parametrize("tokens", [1, 24, 10**6])
def test_parts_of_a_batch_teach_what_the_whole_does(tokens, tiny_copy, monkeypatch):
    """But for hidden states, which are compared by the size of each part's."""
    monkeypatch.setattr(losses, "HIDDEN", 0.0)
    monkeypatch.setattr(loop, "PART_TOKENS", tokens)
    folder, task = tiny_copy("llama"), "text-generation"
    student, teacher = changed(folder, task), load_module(folder, task)
    batch = batch_of(padded=True)
    loss, expected = gradients_of(student, teacher, batch, None, headless=False)
    few = batch.rows(slice(1)).student
    heads = Heads(find_head(student, few), find_head(teacher, few), None)
    healer = Healer(
        student=student, teacher=Teacher(teacher, batches=1, head=heads.teacher, cache_bytes=0),
        losses=Losses(None, heads), batches=[batch], held_out=[batch], schedule=Schedule(steps=1),
    )  # fmt: skip
    student.zero_grad()
    parts = list(healer._losses(batch, 0))
    assert len(parts) == {1: 3, 24: 2, 10**6: 1}[tokens]
    assert sum(part.item() for part in parts) == pytest.approx(loss, rel=1e-5)
    sum(parts).backward()
    largest = max(one.abs().max().item() for one in expected.values())
    for name, one in student.named_parameters():
        assert torch.allclose(one.grad, expected[name], rtol=1e-4, atol=1e-5 * largest), name
