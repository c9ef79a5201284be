"""Texts that a language model writes by itself: drawn as it expects them, whole, and the same again."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from compress.core.errors import CompressError
from compress.data.unlabelled import load_unlabelled
from compress.model.load import load_module
from compress.model.sampling import first_tokens, never_text, opening, written
from compress.pipeline import sampled
from compress.runtime.tokenizer import load_tokenizer
from tests import tiny

pytestmark = pytest.mark.model

TASK = "text-generation"


def nothing(count):
    del count


def drawn(module, count, *, without=(), length=2, seed=(0,)):
    begun = np.full((count, 1), 20)
    return written(module, begun, length=length, without=without, seed=seed, advance=nothing)


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3-moe"])
def test_tokens_are_drawn_by_the_models_own_probabilities(name, tiny_models):
    module = load_module(tiny_models(name), TASK)
    without = [0, 1, 2, 3]
    with torch.inference_mode():
        logits = module(input_ids=torch.tensor([[20]])).logits[0, -1].double()
    logits = logits.clone()
    logits[without] = -torch.inf
    expected = logits.softmax(-1).numpy() * 4000
    found = np.bincount(drawn(module, 4000, without=without)[:, 1], minlength=len(expected))
    assert not found[without].any()
    many = expected >= 5
    bins = [np.append(one[many], one[~many].sum()) for one in (found, expected)]
    assert chisquare(*bins).pvalue > 1e-3


def mamba():
    from transformers import MambaConfig, MambaForCausalLM

    sizes = {"vocab_size": 160, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
    return MambaForCausalLM(MambaConfig(**sizes)).eval()


@pytest.mark.parametrize(
    "name", ["llama", "gpt2", "gemma3", "qwen3-moe", "lfm2", "qwen3.5", "deepseek-v3", "mamba"]
)
def test_what_a_model_keeps_changes_nothing(name, tiny_models):
    """The same random numbers with the whole text read anew for each token, by another way to draw."""
    module = mamba() if name == "mamba" else load_module(tiny_models(name), TASK)
    found = drawn(module, 3, length=24, seed=(5,), without=[2])
    random, ids = np.random.default_rng([5]), np.full((3, 1), 20)
    while ids.shape[1] < 24:
        with torch.inference_mode():
            logits = module(input_ids=torch.from_numpy(ids), use_cache=False).logits[:, -1].double().numpy()
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances[:, 2] = 0
        below = np.cumsum(chances, axis=1)
        below /= below[:, -1:]
        fresh = (below <= random.random((3, 1))).sum(axis=1, keepdims=True)
        ids = np.concatenate([ids, fresh], axis=1)
    assert np.array_equal(found, ids)


def test_a_model_that_keeps_nothing_is_refused():
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

    sizes = {"vocab_size": 160, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    module = RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**sizes, intermediate_size=64, lru_width=32))
    with pytest.raises(CompressError, match="nothing of what was read"):
        drawn(module.eval(), 2)


def test_the_same_seed_writes_the_same_and_another_something_else(tiny_models):
    module = load_module(tiny_models("llama"), TASK)
    state = torch.get_rng_state()
    first, again, other = (drawn(module, 4, length=30, seed=(seed, 1)) for seed in (0, 0, 7))
    assert first.shape == (4, 30)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_text_begins_with_a_word(tiny_models):
    tokenizer = load_tokenizer(tiny_models("llama"))
    texts = ["the quick foxes", "models  are\nlazy"]
    found = {tokenizer.decode([int(one)]).strip() for one in first_tokens(tokenizer, texts)}
    words = {tokenizer.decode(tokenizer.encode(word, add_special_tokens=False).ids[:1]).strip()
             for word in " ".join(texts).split()}  # fmt: skip
    assert found == words


def test_it_begins_as_the_tokenizer_begins_and_does_not_end(tiny_models):
    tokenizer = load_tokenizer(tiny_models("llama"))
    assert [tokenizer.id_to_token(one) for one in opening(tokenizer)] == ["[CLS]"]
    assert tokenizer.encode("a").tokens[-1] == "[SEP]"


def test_special_tokens_and_rows_without_a_token_are_no_text(tiny_models):
    tokenizer = load_tokenizer(tiny_models("llama"))
    special = {number for number, one in tokenizer.get_added_tokens_decoder().items() if one.special}
    size = tokenizer.get_vocab_size()
    assert special
    assert never_text(tokenizer, size + 3) == sorted({*special, size, size + 1, size + 2})


def test_the_command_writes_what_others_calibrate_on(cli, tiny_models, tmp_path):
    out = tmp_path / "new" / "own.jsonl"
    words = ["--count", "5", "--length", "12", "--seed", "3"]
    assert cli("sample", tiny_models("llama"), "--out", out, *words).code == 0
    rows = load_unlabelled([str(out)], task=TASK).rows
    assert len(rows) == len({row["text"] for row in rows}) == 5
    more = cli("sample", tiny_models("llama"), "--out", tmp_path / "more.jsonl", "--json", *words[2:])
    assert json.loads(more.out)["texts"] == 320
    assert len((tmp_path / "more.jsonl").read_text().splitlines()) == 320


def test_what_was_written_survives_a_kill(cli, tiny_models, tmp_path, monkeypatch):
    monkeypatch.setattr(sampled, "_ROWS", 4)
    written_by, numbers = sampled.Writer.batch, []

    def dies_once(self, number, *rest):
        numbers.append(number)
        if numbers == [0, 1]:
            raise KeyboardInterrupt
        return written_by(self, number, *rest)

    words = ("sample", tiny_models("llama"), "--count", "10", "--length", "9", "--out")
    assert cli(*words, tmp_path / "whole.jsonl", "--seed", "0").code == 0
    monkeypatch.setattr(sampled.Writer, "batch", dies_once)
    cache = tmp_path / "other"
    monkeypatch.setenv("COMPRESS_CACHE", str(cache))
    assert cli(*words, tmp_path / "killed.jsonl").code == 130
    assert not (tmp_path / "killed.jsonl").exists()
    assert cli(*words, tmp_path / "killed.jsonl").code == 0
    assert numbers == [0, 1, 1, 2]
    assert (tmp_path / "killed.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()


def test_what_cannot_be_is_refused_before_weights_are_read(cli, tiny_models, tmp_path):
    there = tmp_path / "there.jsonl"
    there.write_text(json.dumps({"text": tiny.TEXT}))
    llama, out = tiny_models("llama"), tmp_path / "out.jsonl"
    for model, path, words, code in (
        (tiny_models("bert"), out, (), "sample-task"),
        (llama, out, ("--length", "4000"), "sample-length"),
        (llama, there, (), "output-exists"),
        (llama, tmp_path / "out.txt", (), "output-invalid"),
        (llama, out, ("--length", "9", "--like", tmp_path / "none.txt"), "data-missing"),
    ):
        found = cli("sample", model, "--out", path, *words)
        assert found.code == 2
        assert f"error[{code}]" in found.err
        assert not out.exists()
