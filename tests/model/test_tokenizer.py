"""The published tokenizer gives the ids that transformers gives, whatever the folder's files say."""

from __future__ import annotations

import contextlib
import json
import random
import shutil

import pytest
import torch
from safetensors.torch import save_file

from compress.core.errors import CompressError
from compress.core.profile import ModelKind
from compress.core.scripts import VARIED
from compress.graph.session import TensorSpec
from compress.model.resolve import Model
from compress.model.tokenizer import load_tokenizer, refuse_beyond_table, write_tokenizer
from compress.model.tokenizer_folder import tokenizer_folder
from compress.pipeline.tokenizer import check_tokenizer, refuse_different, varied
from compress.runtime.genai_tokenizer import told_genai
from compress.runtime.text import load_text
from compress.runtime.tokenizer import load_tokenizer as load_tokenizer_json
from tests.unit.runtime.tokenizers import byte_level, unigram, word_pieces

INPUTS = [TensorSpec(name, "int64", (None, None)) for name in ("input_ids", "attention_mask")]


def edit(path, **values):
    written = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**written, **values}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders as transformers saves them, one a family."""
    import transformers as t

    vocab, merges = byte_level()
    pieces = unigram()
    folders = {
        "bert": lambda: t.BertTokenizer(vocab=word_pieces(), do_lower_case=False, model_max_length=24),
        "roberta": lambda: t.RobertaTokenizer(vocab=vocab, merges=merges, model_max_length=24),
        "gpt2": lambda: t.GPT2Tokenizer(vocab=vocab, merges=merges, pad_token="<pad>", model_max_length=24),
        "llama": lambda: t.LlamaTokenizer(
            vocab={piece: at for at, (piece, _) in enumerate(pieces)}, merges=[], pad_token="<pad>"
        ),
        "t5": lambda: t.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=24),
        "xlm-roberta": lambda: t.XLMRobertaTokenizer(vocab=pieces, model_max_length=24),
        "albert": lambda: t.AlbertTokenizer(vocab=pieces, model_max_length=24),
    }
    root = tmp_path_factory.mktemp("saved")
    for name, make in folders.items():
        make().save_pretrained(root / name)
        (root / name / "config.json").write_text(json.dumps({"model_type": name}))
    return root


def added(content, **flags):
    flags = {
        "lstrip": False,
        "rstrip": False,
        "single_word": False,
        "normalized": False,
        "special": False,
    } | flags
    return {"900": {"content": content, **flags}}


def truncated(folder):
    limits = {"direction": "Left", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": 8, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    edit(folder / "tokenizer.json", truncation=limits, padding=padding)


def slow_files(folder):
    (folder / "tokenizer.json").unlink()
    vocab, merges = byte_level()
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text(
        "\n".join(["#version: 0.2", *(" ".join(merge) for merge in merges), ""])
    )


def wordpiece_file(folder):
    (folder / "tokenizer.json").unlink()
    ordered = sorted(word_pieces().items(), key=lambda piece: piece[1])
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece, _ in ordered), encoding="utf8")


def plain_normalizer(folder):
    """A file whose normalizer its class replaces."""
    edit(folder / "tokenizer.json", normalizer={"type": "NFC"}, pre_tokenizer={"type": "Whitespace"})


def set_(**values):
    return lambda folder: edit(folder / "tokenizer_config.json", **values)


CASES = {
    "lower case": ("bert", set_(do_lower_case=True)),
    "accents stay": ("bert", set_(do_lower_case=True, strip_accents=False)),
    "accents go": ("bert", set_(strip_accents=True)),
    "chinese together": ("bert", set_(tokenize_chinese_chars=False)),
    "another normalizer": ("bert", plain_normalizer),
    "no class": ("bert", set_(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=True)),
    "vocab.txt": ("bert", wordpiece_file),
    "added in settings": ("bert", set_(added_tokens_decoder=added("<pic>", lstrip=True, rstrip=True))),
    "single word": ("bert", set_(added_tokens_decoder=added("qua", single_word=True, normalized=True))),
    "more specials": ("bert", set_(additional_special_tokens=["<one>", "<two>"])),
    "extra specials": ("gpt2", set_(extra_special_tokens={"image_token": "<image>"})),
    "split specials": ("bert", set_(split_special_tokens=True)),
    "cut left": ("bert", set_(truncation_side="left")),
    "pad left": ("bert", set_(padding_side="left")),
    "limits in the file": ("bert", truncated),
    "prefix space": ("roberta", set_(add_prefix_space=True)),
    "trimmed offsets": ("roberta", set_(trim_offsets=False)),
    "mask with a space": ("roberta", set_(mask_token={"content": "<mask>", "lstrip": True, "rstrip": False,
                                                       "single_word": False, "normalized": False,
                                                       "__type": "AddedToken"})),
    "prefix space of GPT-2": ("gpt2", set_(add_prefix_space=True)),
    "bos of GPT-2": ("gpt2", set_(add_bos_token=True, bos_token="<s>")),
    "vocab.json": ("gpt2", slow_files),
    "eos": ("llama", set_(add_eos_token=True)),
    "eos of any": (
        "gpt2", set_(tokenizer_class="PreTrainedTokenizerFast", add_eos_token=True, eos_token="</s>")
    ),
    "no bos": ("llama", set_(add_bos_token=False)),
    "legacy": ("llama", set_(legacy=False, add_prefix_space=False)),
    "left by its class": ("llama", lambda folder: None),
    "t5": ("t5", lambda folder: None),
    "xlm-roberta": ("xlm-roberta", lambda folder: None),
    "albert keeps case": ("albert", set_(do_lower_case=False, keep_accents=True)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_ids_are_those_of_transformers(saved, tmp_path, case):
    from transformers import AutoTokenizer

    name, change = CASES[case]
    source = shutil.copytree(saved / name, tmp_path / "source")
    change(source)
    published = shutil.copytree(source, tmp_path / "published")
    write_tokenizer(load_tokenizer(source), published)
    reference = AutoTokenizer.from_pretrained(source)
    ours = load_text(published, task="text-classification", inputs=INPUTS)
    texts = [*VARIED, "a <pic> b qua quack <one><image>", " ".join(VARIED)]
    length = ours.max_length
    expected = reference(texts, padding=True, truncation=True, max_length=length, return_tensors="np")
    found = ours.feeds([{"text": text} for text in texts])
    for array in ("input_ids", "attention_mask"):
        assert found[array].tolist() == expected[array].tolist()
    again = AutoTokenizer.from_pretrained(published)
    assert again(texts)["input_ids"] == reference(texts)["input_ids"]
    assert (again.padding_side, again.truncation_side) == (reference.padding_side, reference.truncation_side)
    refuse_different(reference, ours, varied(reference, length))


def model_in(folder, task="feature-extraction", kind=ModelKind.ENCODER):
    config = json.loads((folder / "config.json").read_text())
    return Model(
        ref="m", folder=folder, revision=None, digest="", config=config, task=task, kind=kind, tensors={}
    )


def test_a_checkpoint_is_resolved_with_the_tokenizer_of_transformers(saved, tmp_path):
    from transformers import AutoTokenizer

    folder, lines = shutil.copytree(saved / "bert", tmp_path / "m"), []
    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors")
    assert tokenizer_folder(folder, cache=tmp_path / "cache", note=lines.append) == folder
    assert not lines
    edit(folder / "tokenizer_config.json", do_lower_case=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found = tokenizer_folder(folder, cache=tmp_path / "cache", note=lines.append)
    assert found.is_relative_to(tmp_path / "cache")
    assert "its settings say more" in lines[0]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "the user's folder stays"
    assert (found / "model.safetensors").samefile(folder / "model.safetensors"), "weights are not copied"
    text = "The Quick FOX"
    assert (
        load_tokenizer_json(found).encode(text).ids == AutoTokenizer.from_pretrained(folder)(text).input_ids
    )
    assert tokenizer_folder(folder, cache=tmp_path / "cache", note=lines.append) == found
    edit(folder / "tokenizer_config.json", do_lower_case=False)
    assert tokenizer_folder(folder, cache=tmp_path / "cache", note=lines.append) == folder
    wordpiece_file(folder)
    assert tokenizer_folder(folder, cache=tmp_path / "cache", note=lines.append) not in (folder, found)
    assert "there is none" in lines[-1]


def test_a_name_on_the_hub_may_choose_another_class(saved, tmp_path):
    from transformers import AutoConfig, AutoTokenizer

    folder = shutil.copytree(saved / "llama", tmp_path / "m")
    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors")
    edit(folder / "tokenizer.json", pre_tokenizer={"type": "Whitespace"})
    name = "deepseek-ai/deepseek-coder-tiny"
    config = AutoConfig.from_pretrained(folder)
    config._name_or_path = name
    expected = AutoTokenizer.from_pretrained(folder, config=config)
    text = "make it small"
    assert expected(text).input_ids != AutoTokenizer.from_pretrained(folder)(text).input_ids
    found = tokenizer_folder(folder, cache=tmp_path / "cache", note=print, name=name)
    assert load_tokenizer_json(found).encode(text).ids == expected(text).input_ids
    assert AutoTokenizer.from_pretrained(found)(text).input_ids == expected(text).input_ids
    assert tokenizer_folder(found, cache=tmp_path / "cache", note=print) == found
    plain = saved / "bert"
    assert tokenizer_folder(plain, cache=tmp_path / "cache", note=print, name="any/bert") == plain


def test_what_still_differs_is_refused_with_the_text_and_both_ids(saved, tmp_path):
    folder = shutil.copytree(saved / "bert", tmp_path / "m")
    edit(folder / "tokenizer_config.json", do_lower_case=True)
    ours = load_text(folder, task="feature-extraction", inputs=INPUTS)
    reference = load_tokenizer(folder)
    refuse_different(reference, ours, [("lower", None), ("a", "b")])
    with pytest.raises(CompressError, match="A QUICK.*as ids.*tokenizer.json as") as caught:
        refuse_different(reference, ours, [("lower", None), ("A QUICK\n fox", None)])
    assert caught.value.code == "tokenizer-differs"
    assert "\n" not in str(caught.value)
    refuse_different(load_tokenizer(saved / "bert"), ours, [("a quick fox", None)], lowers=True)


def test_a_tokenizer_that_is_python_alone_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({"<unk>": 0, "a</w>": 1, "b</w>": 2}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CTRLTokenizer"}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "ctrl", "vocab_size": 3}))
    with pytest.raises(CompressError, match="CTRLTokenizer is written in Python alone") as caught:
        tokenizer_folder(tmp_path, cache=tmp_path / "cache", note=print)
    assert caught.value.code == "tokenizer-unsupported"


def test_tokens_without_an_embedding(saved, tmp_path):
    lines = []
    size = len(load_tokenizer(saved / "bert"))
    refuse_beyond_table(load_tokenizer(saved / "bert"), size, note=lines.append)
    assert not lines
    with pytest.raises(CompressError, match=f"has id {size - 1}, the model {size - 1} embeddings"):
        refuse_beyond_table(load_tokenizer(saved / "bert"), size - 1, note=lines.append)
    begun = shutil.copytree(saved / "bert", tmp_path / "begun")
    edit(begun / "tokenizer_config.json", cls_token="<begin>")
    rows = len(load_tokenizer(begun)) - 1
    with pytest.raises(CompressError, match=f"'<begin>' has id {rows}, the model {rows} embeddings"):
        refuse_beyond_table(load_tokenizer(begun), rows, note=lines.append)
    folder = shutil.copytree(saved / "bert", tmp_path / "m")
    edit(folder / "tokenizer_config.json", extra_special_tokens=["<picture>"])
    edit(folder / "config.json", vocab_size=size)
    write_tokenizer(load_tokenizer(folder), folder)
    check_tokenizer(model_in(folder), note=lines.append)
    assert "1 special tokens have no embedding, first '<picture>'" in "".join(lines)
    ours = load_text(folder, task="feature-extraction", inputs=INPUTS)
    assert ours.feeds([{"text": "picture"}])["input_ids"].max() < size
    for row in ({"text": "a <picture>"}, {"tokens": ["<picture>"]}, {"text": "a", "text_pair": "<picture>"}):
        task = "token-classification" if "tokens" in row else "text-classification"
        with pytest.raises(CompressError, match=f"the token '<picture>' has id {size}") as caught:
            load_text(folder, task=task, inputs=INPUTS).encodings([row])
        assert caught.value.code == "token-unknown"
    edit(folder / "tokenizer_config.json", extra_special_tokens=[], added_tokens_decoder=added("<usual>"))
    with pytest.raises(CompressError, match="'<usual>' has id"):
        check_tokenizer(model_in(folder), note=lines.append)


@pytest.mark.parametrize(
    ("architecture", "values", "refused"),
    [
        ("LlamaForSequenceClassification", {"model_type": "llama"}, True),
        ("LlamaForSequenceClassification", {"model_type": "llama", "pad_token_id": 1}, False),
        ("GPT2ForSequenceClassification", {"model_type": "gpt2"}, True),
        ("OPTForSequenceClassification", {"model_type": "opt"}, False),  # its configurations name one
        ("BertForSequenceClassification", {"model_type": "bert", "pad_token_id": None}, False),
    ],
)
def test_a_classifier_that_looks_for_padding_needs_its_id(saved, tmp_path, architecture, values, refused):
    folder = shutil.copytree(saved / "gpt2", tmp_path / "m")
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture], **values}))
    model = model_in(folder, task="text-classification")
    if not refused:
        check_tokenizer(model, note=print)
        return
    with pytest.raises(CompressError, match=f"{architecture} finds the end of a text by its padding"):
        check_tokenizer(model, note=print)


def test_a_classifiers_padding_is_what_its_configuration_says(saved, tmp_path):
    folder = shutil.copytree(saved / "gpt2", tmp_path / "m")
    (folder / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "pad_token_id": 4, "vocab_size": 500})
    )
    rows = [{"text": "a"}, {"text": "a b c"}]
    assert load_text(folder, task="text-classification", inputs=INPUTS).feeds(rows)["input_ids"][0, -1] == 4
    assert load_text(folder, task="feature-extraction", inputs=INPUTS).feeds(rows)["input_ids"][0, -1] == 1
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 1}))
    assert load_text(folder, task="feature-extraction", inputs=INPUTS).settings.pad_id == 0


def test_a_decoders_report_says_where_genai_reads_otherwise(saved, tmp_path):
    folder = shutil.copytree(saved / "gpt2", tmp_path / "m")
    model = {"type": "gpt2", "vocab_size": 500, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    model |= {"context_length": 64, "decoder": {"filename": "model.onnx", "head_size": 8, "hidden_size": 8}}
    (folder / "genai_config.json").write_text(json.dumps({"model": model, "search": {}}))
    texts = ["A quick brown fox.", "naïve café", " two  spaces"]
    assert told_genai(folder, texts) == []
    (line,) = told_genai(folder, [*texts, "cut at\0 zero"])
    assert "reads 1 of 4 texts otherwise, first 'cut at" in line
    (folder / "tokenizer.json").write_text("{}")
    (line,) = told_genai(folder, texts)
    assert "cannot read this tokenizer" in line


_VALUES = [
    None,
    5,
    -1,
    10**30,
    "x",
    "",
    [],
    {},
    [[1]],
    {"content": 5},
    {"-1": {"content": "a"}},
    "\ud800",
    True,
]
_SETTINGS = [
    "model_max_length", "padding_side", "truncation_side", "pad_token", "mask_token", "cls_token",
    "added_tokens_decoder", "extra_special_tokens", "tokenizer_class", "do_lower_case", "add_prefix_space",
    "add_eos_token", "split_special_tokens", "auto_map", "model_input_names", "backend", "vocab", "max_len",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_settings_of_any_type_are_read_or_refused(saved, tmp_path, seed):
    pick = random.Random(seed)
    folder = shutil.copytree(saved / pick.choice(["bert", "gpt2", "xlm-roberta"]), tmp_path / "m")
    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors")
    edit(folder / "tokenizer_config.json", **{pick.choice(_SETTINGS): pick.choice(_VALUES)})
    with contextlib.suppress(CompressError):
        found = tokenizer_folder(folder, cache=tmp_path / "cache", note=print)
        check_tokenizer(model_in(found, task="text-classification"), note=print)
        ours = load_text(found, task="text-classification", inputs=INPUTS)
        expected = load_tokenizer(folder)("A quick fox", truncation=True, max_length=ours.max_length)
        assert ours.feeds([{"text": "A quick fox"}])["input_ids"].tolist() == [expected["input_ids"]]
