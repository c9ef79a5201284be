"""Pooling and the modules after it, against loops that say the same the long way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from compress.core.errors import CompressError
from compress.runtime.embed import frame_mask, load_head, plain_embedding, pooled, unit
from compress.runtime.pooling import MODES, pool, pooling_modes
from tests import tiny


def slow_pool(hidden, mask, mode):
    vectors = []
    for tokens, kept in zip(hidden.astype(np.float64), mask, strict=True):
        inside = [token for token, keep in zip(tokens, kept, strict=True) if keep]
        weights = [1 + index for index in range(len(inside))]
        vectors.append({
            "cls": lambda inside=inside: inside[0],
            "lasttoken": lambda inside=inside: inside[-1],
            "max": lambda inside=inside: np.max(inside, axis=0),
            "mean": lambda inside=inside: sum(inside) / len(inside),
            "mean_sqrt_len_tokens": lambda inside=inside: sum(inside) / len(inside) ** 0.5,
            "weightedmean": lambda inside=inside, weights=weights: sum(
                weight * token for weight, token in zip(weights, inside, strict=True)
            ) / sum(weights),
        }[mode]())  # fmt: skip
    return np.array(vectors)


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), left=st.booleans(), seed=st.integers(0, 99)
)
def test_every_mode_equals_the_loop(lengths, left, seed):
    longest = max(lengths)
    hidden = np.random.default_rng(seed).standard_normal((len(lengths), longest, 5)).astype(np.float32)
    mask = np.array([[int(t >= longest - n if left else t < n) for t in range(longest)] for n in lengths])
    for mode in MODES:
        np.testing.assert_allclose(pool(hidden, mask, (mode,)), slow_pool(hidden, mask, mode), atol=1e-5)
    both = pool(hidden, mask, ("cls", "mean"))
    np.testing.assert_allclose(both[:, :5], slow_pool(hidden, mask, "cls"), atol=1e-6)
    assert both.shape == (len(lengths), 10)
    assert both.dtype == np.float32


@pytest.mark.parametrize("mode", MODES)
def test_texts_without_any_token_are_zeros(mode):
    hidden, mask = np.zeros((2, 0, 3), dtype=np.float32), np.zeros((2, 0), dtype=np.int64)
    assert pool(hidden, mask, (mode, "mean")).tolist() == [[0.0] * 6] * 2


def test_padding_does_not_count():
    hidden = np.ones((1, 3, 2), dtype=np.float32)
    hidden[0, 2] = np.nan
    mask = np.array([[1, 1, 0]])
    for mode in ("cls", "max", "mean", "weightedmean", "lasttoken"):
        assert pool(hidden, mask, (mode,)).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode": "cls"}, ("cls",)),
        ({"pooling_mode": ["cls", "max"]}, ("cls", "max")),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ("mean",)),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ("cls", "mean")),
        ({}, ("mean",)),
    ],
)
def test_modes_are_read_from_new_and_old_files(config, expected):
    assert pooling_modes(config) == expected


def modules(folder, *entries):
    written = []
    for index, (kind, config, weights) in enumerate(entries):
        path = f"{index}_{kind}"
        (folder / path).mkdir()
        (folder / path / "config.json").write_text(json.dumps(config))
        if weights:
            save_file(weights, folder / path / "model.safetensors")
        written.append(
            {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        )
    (folder / "modules.json").write_text(json.dumps(written))
    return folder


@pytest.mark.parametrize("activation", ["Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU"])
def test_modules_equal_those_of_torch(tmp_path, activation):
    torch.manual_seed(0)
    dense, norm = torch.nn.Linear(10, 4), torch.nn.LayerNorm(4)
    torch.nn.init.normal_(norm.weight)
    hidden = torch.randn(3, 5, 5)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]])
    head = load_head(modules(
        tmp_path,
        ("Transformer", {}, None),
        ("Pooling", {"pooling_mode": ["cls", "mean"]}, None),
        ("Dense", {"activation_function": f"torch.nn.modules.activation.{activation}"},
         {"linear.weight": dense.weight.detach().numpy(), "linear.bias": dense.bias.detach().numpy()}),
        ("Dropout", {}, None),
        ("LayerNorm", {},
         {"norm.weight": norm.weight.detach().numpy(), "norm.bias": norm.bias.detach().numpy()}),
        ("Normalize", {}, None),
    ))  # fmt: skip
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    with torch.no_grad():
        raw = norm(getattr(torch.nn, activation)()(dense(torch.cat([hidden[:, 0], mean], dim=1))))
    outputs, feeds = {"last_hidden_state": hidden.numpy()}, {"attention_mask": mask.numpy()}
    np.testing.assert_allclose(
        head.apply(outputs, feeds), torch.nn.functional.normalize(raw, dim=1).numpy(), atol=1e-5
    )
    np.testing.assert_allclose(head.apply(outputs, feeds, normalize=False), raw.numpy(), atol=1e-5)


@given(
    lengths=st.lists(st.integers(4, 8), min_size=1, max_size=4), left=st.booleans(), seed=st.integers(0, 99)
)
def test_tokens_of_a_prompt_are_left_out(lengths, left, seed):
    longest, skipped = max(lengths), 3
    hidden = np.random.default_rng(seed).standard_normal((len(lengths), longest, 5)).astype(np.float32)
    mask = np.array([[int(t >= longest - n if left else t < n) for t in range(longest)] for n in lengths])
    rest = np.array(
        [
            [int(longest - n + skipped <= t if left else skipped <= t < n) for t in range(longest)]
            for n in lengths
        ]
    )
    for mode in ("cls", "max", "mean", "mean_sqrt_len_tokens", "lasttoken"):
        np.testing.assert_allclose(
            pool(hidden, mask, (mode,), skipped=skipped), slow_pool(hidden, rest, mode), atol=1e-5
        )
    # Positions are still counted from the prompt's first token on.
    weighted = [
        np.average(tokens[inside > 0], axis=0, weights=1 + skipped + np.arange(inside.sum()))
        for tokens, inside in zip(hidden, rest, strict=True)
    ]
    np.testing.assert_allclose(pool(hidden, mask, ("weightedmean",), skipped=skipped), weighted, atol=1e-5)


def test_a_prompt_and_a_width_are_read_from_the_models_files(tmp_path):
    tiny.tokenizer(tmp_path)
    modules(
        tmp_path,
        ("Transformer", {}, None),
        ("Pooling", {"pooling_mode": "mean", "include_prompt": False}, None),
    )
    use = {"prompts": {"query": "find the dog : "}, "default_prompt_name": "query", "truncate_dim": 2}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(use))
    hidden = np.random.default_rng(0).standard_normal((1, 9, 4)).astype(np.float32)
    outputs, feeds = {"last_hidden_state": hidden}, {"attention_mask": np.ones((1, 9), dtype=np.int64)}
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    skipped = len(tokenizer.encode(use["prompts"]["query"])) - 1
    tokenizer.enable_padding(length=64)  # as many models of sentence-transformers have it written
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    expected = hidden[:, skipped:, :2].mean(axis=1)
    np.testing.assert_allclose(load_head(tmp_path).apply(outputs, feeds), expected, atol=1e-6)
    lengths = np.linalg.norm(load_head(tmp_path).apply(outputs, feeds, normalize=True), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


@pytest.mark.parametrize("name", [None, "cosine", "dot", "euclidean", "manhattan"])
def test_two_texts_are_compared_as_the_model_was_trained(tmp_path, name):
    modules(tmp_path, ("Transformer", {}, None), ("Pooling", {"pooling_mode": "cls"}, None))
    use = {"similarity_fn_name": name}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(use))
    hidden = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(0))
    first, second = hidden[:2, 0], hidden[2:, 0]
    expected = {
        "cosine": torch.nn.functional.cosine_similarity(first, second),
        "dot": (first * second).sum(1),
        "euclidean": -((first - second) ** 2).sum(1).sqrt(),
        "manhattan": -(first - second).abs().sum(1),
    }[name or "cosine"]
    feeds = {"attention_mask": np.ones((4, 1), dtype=np.int64)}
    found = load_head(tmp_path).similarities({"last_hidden_state": hidden.numpy()}, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_bare_encoder_gives_the_mean_over_its_tokens(tmp_path):
    hidden = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    feeds = {"attention_mask": np.array([[1, 1, 1], [1, 0, 0]])}
    outputs = {"last_hidden_state": hidden, "pooler_output": np.zeros((2, 2), dtype=np.float32)}
    assert load_head(tmp_path).apply(outputs, feeds).tolist() == [[2, 3], [6, 7]]
    assert pooled(outputs, feeds, ("cls",)).tolist() == [[0, 1], [6, 7]]
    np.testing.assert_allclose(
        np.linalg.norm(load_head(tmp_path).apply(outputs, feeds, normalize=True), axis=1), 1, rtol=1e-6
    )


def test_pictures_give_their_pooled_output():
    pixels = {"pixel_values": np.zeros((2, 3, 4, 4))}
    convolved = np.arange(16, dtype=np.float32).reshape(2, 2, 2, 2)
    pooler = convolved.mean(axis=(2, 3), keepdims=True)
    assert plain_embedding({"last_hidden_state": convolved, "pooler_output": pooler}, pixels).shape == (2, 2)
    np.testing.assert_array_equal(
        plain_embedding({"last_hidden_state": convolved}, pixels), pooler.reshape(2, 2)
    )


def test_the_mask_of_samples_is_scaled_to_frames():
    mask = np.zeros((2, 1000), dtype=np.int64)
    mask[0], mask[1, :501] = 1, 1
    assert frame_mask({"attention_mask": mask}, (2, 10, 4)).sum(axis=1).tolist() == [10, 5]
    assert frame_mask({}, (2, 10, 4)).all()


def test_a_zero_vector_stays_zero():
    assert unit(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_failures_have_a_code(tmp_path):
    entry = {"idx": 1, "path": "../outside", "type": "sentence_transformers.models.Dense"}
    (tmp_path / "modules.json").write_text(json.dumps([entry]))
    with pytest.raises(CompressError) as error:
        load_head(tmp_path)
    assert error.value.code == "path-escapes"
    for kind, weights, code in [
        ("WordWeights", None, "module-unsupported"),
        ("Dense", None, "module-unsupported"),
    ]:
        folder = tmp_path / f"{kind}s"
        folder.mkdir()
        with pytest.raises(CompressError) as error:
            load_head(modules(folder, (kind, {}, weights)))
        assert error.value.code == code
    (tmp_path / "Denses" / "0_Dense" / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CompressError) as error:
        load_head(tmp_path / "Denses")
    assert error.value.code == "pickle-refused"
    with pytest.raises(CompressError) as error:
        pool(np.zeros((1, 1, 1)), np.ones((1, 1)), ("median",))
    assert error.value.code == "module-unsupported"


@pytest.mark.parametrize("name", ["x.Pooling", "Pooling", "not_sentence_transformers.models.Pooling"])
def test_another_packages_pooling_is_not_that_of_sentence_transformers(tmp_path, name):
    (tmp_path / "modules.json").write_text(json.dumps([{"idx": 1, "path": "", "type": name}]))
    with pytest.raises(CompressError, match=name) as error:
        load_head(tmp_path)
    assert error.value.code == "module-unsupported"
