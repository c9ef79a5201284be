"""Token ids equal to those of transformers' own tokenizers, with their padding and truncation."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from compress.core.errors import CompressError
from compress.data.sample import sample_texts
from compress.graph.session import TensorSpec
from compress.runtime.limits import max_tokens
from compress.runtime.preprocess import load_preprocessor
from compress.runtime.text import load_text
from tests.unit.runtime.tokenizers import byte_level, unigram, word_pieces

TEXTS = [
    "A lobster.",
    "Höhe über dem Meer: 1,234 m (4,049 ft) — don't round; it's EXACT!",
    "",
    " ".join(sample_texts()[:3]),
]
PAIRS = [("How large is it?", sample_texts()[4]), ("Who?", "Nobody."), (sample_texts()[7], "x")]
IDS = ("input_ids", "attention_mask", "token_type_ids")


def specs(*names: str, dtype: str = "int64", shape=(None, None)):
    return [TensorSpec(name, dtype, shape) for name in names or ("input_ids", "attention_mask")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of tokenizers of each family, as transformers saves them."""
    import transformers as t

    vocab, merges = byte_level()
    made = {
        "bert": lambda: t.BertTokenizer(vocab=word_pieces(), model_max_length=24),
        "electra-cased": lambda: t.ElectraTokenizer(vocab=word_pieces(), do_lower_case=False),
        "mpnet": lambda: t.MPNetTokenizer(vocab=word_pieces() | {"<s>": 500, "</s>": 501, "<pad>": 502}),
        "roberta": lambda: t.RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=24),
        "roberta-spaced": lambda: t.RobertaTokenizer(vocab=vocab, merges=merges, add_prefix_space=True),
        "gpt2-left": lambda: t.GPT2Tokenizer(
            vocab=vocab, merges=merges, pad_token="<pad>", unk_token="<unk>", padding_side="left"
        ),
        "xlm-roberta": lambda: t.XLMRobertaTokenizer(vocab=unigram(), model_max_length=24),
        "deberta-v2": lambda: t.DebertaV2Tokenizer(vocab=unigram(), unk_id=3),
        "t5": lambda: t.T5Tokenizer(vocab=unigram(), extra_ids=0),
        "albert": lambda: t.AlbertTokenizer(vocab=unigram()),
    }
    root = tmp_path_factory.mktemp("tokenizers")
    for name, make in made.items():
        make().save_pretrained(root / name)
        (root / name / "config.json").write_text(json.dumps({"model_type": name.partition("-")[0]}))
    return root


NAMES = [
    "bert",
    "electra-cased",
    "mpnet",
    "roberta",
    "roberta-spaced",
    "gpt2-left",
    "xlm-roberta",
    "deberta-v2",
    "t5",
    "albert",
]


@pytest.mark.parametrize("name", NAMES)
def test_ids_equal_those_of_transformers(folders, name):
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(folders / name)
    ours = load_text(folders / name, task="text-classification", inputs=specs(*IDS))
    length = ours.max_length
    rows = [{"text": text} for text in TEXTS]
    expected = reference(
        TEXTS, padding=True, truncation=True, max_length=length, return_tensors="np",
        return_token_type_ids=True,
    )  # fmt: skip
    found = ours.feeds(rows)
    for key in IDS:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)

    first, second = zip(*PAIRS, strict=True)
    expected = reference(
        list(first), list(second), padding=True, truncation=True, max_length=length,
        return_tensors="np", return_token_type_ids=True,
    )  # fmt: skip
    found = ours.feeds([{"text": a, "text_pair": b} for a, b in PAIRS])
    for key in IDS:
        np.testing.assert_array_equal(found[key], expected[key], err_msg=key)


@pytest.mark.parametrize("name", ["bert", "roberta", "roberta-spaced", "xlm-roberta"])
def test_words_equal_those_of_transformers(folders, name):
    from transformers import AutoTokenizer

    options = {"add_prefix_space": True} if name == "roberta" else {}
    reference = AutoTokenizer.from_pretrained(folders / name, **options)
    ours = load_text(folders / name, task="token-classification", inputs=specs())
    rows = [{"tokens": text.split()} for text in TEXTS if text]
    expected = reference(
        [row["tokens"] for row in rows], is_split_into_words=True, padding=True, truncation=True,
        max_length=ours.max_length, return_tensors="np",
    )  # fmt: skip
    np.testing.assert_array_equal(ours.feeds(rows)["input_ids"], expected["input_ids"])
    for index, encoding in enumerate(ours.encodings(rows)):
        assert encoding.word_ids == [word for word in expected.word_ids(index)][: len(encoding.word_ids)]


def test_questions_are_cut_in_the_context_and_read_in_windows(folders):
    from transformers import AutoTokenizer

    reference = AutoTokenizer.from_pretrained(folders / "bert")
    ours = load_text(folders / "bert", task="question-answering", inputs=specs(*IDS))
    question, context = "How?", " ".join(sample_texts()[:2])
    expected = reference(
        question, context, truncation="only_second", max_length=24, stride=6, return_overflowing_tokens=True
    )
    (windows,) = ours.windows([{"question": question, "context": context}])
    assert [window.ids for window in windows] == expected["input_ids"]
    assert ours.feeds([{"question": question, "context": context}])["input_ids"].tolist() == [windows[0].ids]


def test_a_long_question_leaves_small_windows(folders):
    ours = load_text(folders / "bert", task="question-answering", inputs=specs(*IDS))
    context = " ".join(sample_texts()[:2])
    whole = ours.tokenizer.encode(context, add_special_tokens=False).ids
    for letters in range(1, 21):
        row = {"question": " ".join("a" * letters), "context": context}
        (windows,) = ours.windows([row])
        pieces = [window.ids[letters + 2 : -1] for window in windows]
        room = 24 - 3 - letters
        assert all(len(window) <= 24 for window in windows)
        assert all(len(piece) == room for piece in pieces[:-1])
        shared = min(6, room // 2)
        assert [
            token for piece in pieces for token in piece[shared if piece is not pieces[0] else 0 :]
        ] == whole
    for letters in (21, 30):
        with pytest.raises(CompressError, match="leaves no room") as caught:
            ours.windows([{"question": " ".join("a" * letters), "context": context}])
        assert caught.value.exit_code == 2


def test_a_model_of_questions_takes_no_other_rows(folders):
    ours = load_text(folders / "bert", task="question-answering", inputs=specs(*IDS))
    with pytest.raises(CompressError, match="no question, only text"):
        ours.feeds([{"text": "what is it?"}])


def test_only_the_inputs_of_the_graph_are_fed_in_its_types(folders):
    ours = load_text(folders / "bert", task="feature-extraction", inputs=specs("input_ids", dtype="int32"))
    feeds = ours.feeds([{"text": "one", "text_pair": "not read: each side is embedded alone"}])
    assert list(feeds) == ["input_ids"]
    assert feeds["input_ids"].dtype == np.int32
    assert feeds["input_ids"].shape[1] < 10


def test_a_fixed_length_is_filled(folders):
    inputs = specs(*IDS[:2], shape=(None, 16))
    feeds = load_text(folders / "bert", task="fill-mask", inputs=inputs).feeds([{"text": "one"}])
    assert feeds["input_ids"].shape == (1, 16)
    assert feeds["attention_mask"].sum() < 16


def test_a_fixed_length_without_a_mask_is_refused(folders):
    """What fills such an input up could not be told from text."""
    with pytest.raises(CompressError, match="16 tokens exactly and no attention_mask"):
        load_text(folders / "bert", task="fill-mask", inputs=specs("input_ids", shape=(None, 16)))


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("bert", {"model_type": "bert"}, [[0, 1, 2, 3], [0, 1, 0, 0]]),
        ("roberta", {"model_type": "roberta", "pad_token_id": 1}, [[2, 3, 4, 5], [2, 3, 1, 1]]),
        ("gpt2-left", {"model_type": "gpt2"}, [[0, 1, 2, 3], [0, 0, 0, 1]]),
    ],
)
def test_positions_are_numbered_as_the_model_numbers_them(folders, tmp_path, name, config, expected):
    folder = shutil.copytree(folders / name, tmp_path / "model")
    (folder / "config.json").write_text(json.dumps(config))
    ours = load_text(folder, task="fill-mask", inputs=specs("input_ids", "attention_mask", "position_ids"))
    long, short = ours.encodings([{"text": "one two three"}, {"text": "a b"}])
    long.truncate(4), short.truncate(2)
    assert ours.batch([long, short])["position_ids"].tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_synthetic_batches_have_the_length_and_no_padding(folders, name):
    ours = load_text(folders / name, task="text-classification", inputs=specs(*IDS))
    feeds = ours.synthetic(batch=3, length=20)
    assert feeds["input_ids"].shape == (3, 20)
    assert feeds["attention_mask"].all()
    assert not np.array_equal(feeds["input_ids"][0], feeds["input_ids"][1])
    assert feeds["input_ids"].max() < ours.tokenizer.get_vocab_size()
    text = ours.feeds([{"text": " ".join(sample_texts()[:3])}])["input_ids"]
    assert feeds["input_ids"][0, -1] == text[0, -1] or name.startswith("gpt2")
    assert ours.feeds([{"text": TEXTS[3]}])["input_ids"].shape[1] <= ours.max_length, "still cut after it"


def test_synthetic_text_is_long_enough_for_long_models(folders):
    ours = load_text(folders / "t5", task="feature-extraction", inputs=specs())
    assert ours.synthetic(batch=1, length=512)["input_ids"].shape == (1, 512)


@pytest.mark.parametrize(
    ("config", "tokenizer", "sentence", "expected"),
    [
        ({"max_position_embeddings": 512}, {"model_max_length": 512}, {"max_seq_length": 256}, 256),
        ({"max_position_embeddings": 512}, {"model_max_length": int(1e30)}, {}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, {}, {}, 512),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1},
         {"model_max_length": 1024}, {}, 512),
        ({"model_type": "gpt2", "n_positions": 1024}, {}, {}, 1024),
        ({"text_config": {"max_position_embeddings": 77}}, {}, {}, 77),
        ({"model_type": "t5"}, {}, {}, 512),
        ({"model_type": "t5"}, {"model_max_length": 2048}, {}, 2048),
    ],
)  # fmt: skip
def test_the_tightest_limit_holds(config, tokenizer, sentence, expected):
    assert max_tokens(config=config, tokenizer=tokenizer, sentence=sentence) == expected


def test_prompts_and_lower_case_of_sentence_transformers(folders, tmp_path):
    folder = shutil.copytree(folders / "electra-cased", tmp_path / "model")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": true}')
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "find: "}, "default_prompt_name": "query"})
    )
    prompted = load_text(folder, task="feature-extraction", inputs=specs())
    plain = load_text(folders / "electra-cased", task="feature-extraction", inputs=specs())
    expected = plain.feeds([{"text": "find: the lobster"}])["input_ids"]
    assert prompted.max_length == 12
    np.testing.assert_array_equal(prompted.feeds([{"text": "The LOBSTER"}])["input_ids"], expected)


def test_failures_have_a_code(folders, tmp_path):
    with pytest.raises(CompressError) as error:
        load_text(tmp_path, task="fill-mask", inputs=specs())
    assert error.value.code == "tokenizer-missing"
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(CompressError) as error:
        load_text(tmp_path, task="fill-mask", inputs=specs())
    assert error.value.code == "tokenizer-invalid"
    with pytest.raises(CompressError) as error:
        load_preprocessor(folders / "bert", task="fill-mask", inputs=specs("input_ids", "bbox"))
    assert error.value.code == "input-unsupported"
    with pytest.raises(CompressError) as error:
        load_preprocessor(folders / "bert", task="fill-mask", inputs=specs("spectrogram"))
    assert error.value.code == "input-unsupported"
    ours = load_text(folders / "bert", task="fill-mask", inputs=specs())
    with pytest.raises(CompressError) as error:
        ours.feeds([{"label": 1}])
    assert error.value.code == "row-unusable"
