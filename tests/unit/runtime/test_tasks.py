"""Post-processing of each task, on logits whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, processors
from tokenizers import pre_tokenizers as pre

from compress.core.errors import CompressError
from compress.runtime.classify import best_classes, scores, softmax
from compress.runtime.ctc import load_ctc
from compress.runtime.mask import fill_masks
from compress.runtime.outputs import hidden_of, logits_of
from compress.runtime.qa import best_answer, start_end
from compress.runtime.tokens import find_spans, joined_spans, judged, tags_of_words, word_places

WORDS = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "ada", "love", "##lace", "met", "george", "boole"]
WORDS += ["in", "london", "who", "?", "the"]


@pytest.fixture(scope="module")
def tokenizer():
    made = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    made.add_special_tokens(["[MASK]"])
    return made


def one_hot(classes, count, height=5.0):
    return np.eye(count, dtype=np.float32)[classes] * height


def test_classes_by_problem():
    logits = np.array([[1.0, 3.0], [2.0, -1.0]], dtype=np.float32)
    config = {"id2label": {"0": "bad", "1": "good"}}
    first, second = best_classes(logits, config)
    assert (first["label"], second["label"]) == ("good", "bad")
    assert first["score"] == pytest.approx(1 / (1 + np.exp(-2)))
    assert best_classes(logits, {})[0]["label"] == "LABEL_1"
    several = scores(logits, {"problem_type": "multi_label_classification"})
    np.testing.assert_allclose(several, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    np.testing.assert_allclose(scores(logits[:, :1], {}), several[:, :1], rtol=1e-6)
    assert scores(logits[:, :1], {"problem_type": "regression"}).tolist() == [[1], [2]]
    np.testing.assert_allclose(softmax(np.array([[1000.0, 1000.0]])), [[0.5, 0.5]])


def test_spans_are_joined_and_begun(tokenizer):
    text = "ada lovelace met george boole in london"
    encoding = tokenizer.encode(text)
    assert " ".join(encoding.tokens) == "[CLS] ada love ##lace met george boole in london [SEP]"
    names = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
    logits = one_hot([0, 1, 2, 2, 0, 1, 1, 0, 3, 0], 4)
    spans = find_spans(logits, encoding, text=text, names=names)
    assert [(span["label"], span["text"]) for span in spans] == [
        ("PER", "ada lovelace"), ("PER", "george"), ("PER", "boole"), ("LOC", "london"),
    ]  # fmt: skip
    assert text[spans[0]["start"] : spans[0]["end"]] == "ada lovelace"
    assert spans[0]["score"] == pytest.approx(np.exp(5) / (np.exp(5) + 3))
    assert find_spans(one_hot([0] * 10, 4), encoding, text=text, names=names) == []


def test_words_are_judged_by_their_first_token(tokenizer):
    encoding = tokenizer.encode(["ada", "lovelace", "met"], is_pretokenized=True)
    assert word_places([encoding], 0) == {0: (0, 1), 1: (0, 2), 2: (0, 4)}
    assert tags_of_words([(encoding, one_hot([0, 1, 2, 0, 3, 0], 4))], 0) == {0: 1, 1: 2, 2: 3}
    encoding.truncate(3)
    assert word_places([encoding], 0) == {0: (0, 1), 1: (0, 2)}


@pytest.mark.parametrize("overlap", [0, 1, 2, 3])
def test_each_token_is_judged_in_the_window_with_more_of_its_neighbours(tokenizer, overlap):
    tokenizer.enable_truncation(7, stride=overlap)
    words = ["ada", "lovelace", "met", "george", "boole", "in", "london", "lovelace", "who"]
    first = tokenizer.encode(words, is_pretokenized=True)
    tokenizer.no_truncation()
    whole = tokenizer.encode(words, is_pretokenized=True)
    windows = [first, *first.overflowing]
    masks = judged(windows, overlap)
    read = [
        number for window, mask in zip(windows, masks, strict=True) for number in np.array(window.ids)[mask]
    ]
    assert read == whole.ids[1:-1]
    for window, mask in zip(windows[1:-1], masks[1:-1], strict=True):
        beside = np.flatnonzero(mask)
        assert abs((beside[0] - 1) - (len(window) - 2 - beside[-1])) <= 1, "the middle of the window"
    assert list(word_places(windows, overlap)) == list(range(len(words)))


def test_of_spans_that_overlap_the_longest_stays():
    def span(start, end, score):
        return {"start": start, "end": end, "score": score}

    spans = [span(0, 3, 0.5), span(5, 9, 0.5), span(7, 9, 0.9), span(12, 14, 0.5), span(12, 14, 0.6)]
    assert joined_spans(spans) == [spans[0], spans[1], spans[4]]
    assert joined_spans([spans[2], spans[1]]) == [spans[1]]
    assert joined_spans([]) == []


def test_the_best_answer_lies_in_the_context(tokenizer):
    question, context = "who met ?", "ada met george in london"
    encoding = tokenizer.encode(question, context)
    tokens = encoding.tokens
    start, end = np.zeros(len(tokens)), np.zeros(len(tokens))
    start[tokens.index("who")] = 9  # the question is no answer
    start[tokens.index("george")], end[tokens.index("london")] = 5, 4
    end[tokens.index("ada")] = 6  # ends before the start
    answer = best_answer([(start, end, encoding)], context)
    assert answer["answer"] == "george in london"
    inside = [index for index, number in enumerate(encoding.sequence_ids) if number == 1]
    expected = np.exp(5) / np.exp(start[inside]).sum() * np.exp(4) / np.exp(end[inside]).sum()
    assert answer["score"] == pytest.approx(expected)
    better = start + 3 * (np.arange(len(tokens)) == tokens.index("ada") + 0)
    better[tokens.index("ada")] = 20
    assert best_answer([(start, end, encoding), (better, end, encoding)], context)["answer"] == "ada"


def test_the_best_span_equals_a_search_through_all(tokenizer):
    encoding = tokenizer.encode("who ?", "ada lovelace met george boole in the london")
    inside = [index for index, number in enumerate(encoding.sequence_ids) if number == 1]
    context = "ada lovelace met george boole in the london"
    for seed in range(20):
        start, end = np.random.default_rng(seed).standard_normal((2, len(encoding)))
        first, last = max(
            ((i, j) for i in inside for j in inside if i <= j), key=lambda pair: start[pair[0]] + end[pair[1]]
        )
        expected = context[encoding.offsets[first][0] : encoding.offsets[last][1]]
        assert best_answer([(start, end, encoding)], context)["answer"] == expected


def test_masks_are_filled(tokenizer):
    encoding = tokenizer.encode("ada met [MASK] in [MASK]")
    positions = [index for index, token in enumerate(encoding.tokens) if token == "[MASK]"]
    logits = np.zeros((len(encoding), len(WORDS)))
    logits[positions[0], WORDS.index("george")], logits[positions[1], WORDS.index("london")] = 7, 3
    first, second = fill_masks(logits, encoding, tokenizer=tokenizer, mask_id=WORDS.index("[MASK]"), top=2)
    assert first[0]["token"] == "george"
    assert first[0]["score"] == pytest.approx(np.exp(7) / (np.exp(7) + len(WORDS) - 1))
    assert second[0]["token"] == "london"
    assert len(first) == 2
    with pytest.raises(CompressError) as error:
        fill_masks(logits, tokenizer.encode("ada"), tokenizer=tokenizer, mask_id=WORDS.index("[MASK]"))
    assert error.value.code == "row-unusable"


def letters(folder, **settings):
    vocabulary = {
        token: index for index, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCEHLO"])
    }
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Wav2Vec2CTCTokenizer", "pad_token": "<pad>", "unk_token": "<unk>",
                    "bos_token": "<s>", "eos_token": "</s>", "word_delimiter_token": "|"} | settings)
    )  # fmt: skip
    return vocabulary


@pytest.mark.parametrize("settings", [{}, {"do_lower_case": True}])
def test_transcripts_equal_those_of_transformers(tmp_path, settings):
    from transformers import Wav2Vec2CTCTokenizer

    vocabulary = letters(tmp_path, **settings)
    reference = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    decoder = load_ctc(tmp_path)
    spoken = "||HH<pad>EL<pad>LLO||<pad>|A<pad>|<pad><pad>B|"
    named = spoken.replace("<pad>", "_")
    path = [vocabulary["<pad>" if letter == "_" else letter] for letter in named]
    assert decoder.decode(one_hot(path, len(vocabulary))) == reference.decode(path)
    generator = np.random.default_rng(0)
    for _ in range(20):
        path = generator.choice([0, 4, 5, 6, 7, 8], size=30)
        assert decoder.decode(one_hot(path, len(vocabulary))) == reference.decode(path)


def test_the_language_of_a_multilingual_vocabulary(tmp_path):
    letters(tmp_path, target_lang="eng")
    nested = {"eng": {"<pad>": 0, "|": 1, "A": 2}, "deu": {"<pad>": 0, "|": 1, "Ä": 2}}
    (tmp_path / "vocab.json").write_text(json.dumps(nested))
    assert load_ctc(tmp_path).decode(one_hot([0, 2, 2, 1], 3)) == "A"
    letters_config = json.loads((tmp_path / "tokenizer_config.json").read_text()) | {"target_lang": "fra"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(letters_config))
    with pytest.raises(CompressError) as error:
        load_ctc(tmp_path)
    assert error.value.code == "tokenizer-invalid"


def test_outputs_are_found_by_name_or_place():
    a, b = np.zeros((1, 2)), np.zeros((1, 2, 3))
    assert logits_of({"x": a, "logits": b}) is b
    assert logits_of({"x": a}) is a
    assert hidden_of({"pooler_output": a, "last_hidden_state": b}) is b
    assert hidden_of({"x": a, "y": b}) is b
    assert start_end({"a": a, "b": b}) == (a, b)
