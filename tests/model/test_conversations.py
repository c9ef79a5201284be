"""Conversations are read as the text that transformers' chat template makes of them."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from compress.core.errors import CompressError
from compress.data.items import load_items
from compress.data.unlabelled import load_unlabelled
from compress.runtime.conversations import ConversationWriter
from compress.runtime.tokenizer import load_tokenizer

TASK = "text-generation"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] }} : {{ message['content'] | trim }} !\n"
    "{% endfor %}{% if add_generation_prompt %}assistant :{% endif %}"
)
TALKS = [
    [{"role": "user", "content": "why not"}, {"role": "assistant", "content": " so small "}],
    [{"role": "system", "content": "prove"}, {"role": "user", "content": "what for"}],
]
SHARED = {"user": "human", "assistant": "gpt", "system": "system"}


@pytest.fixture
def chatty(tiny_copy):
    folder = tiny_copy("llama")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"chat_template": TEMPLATE, "bos_token": "[CLS]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def write(path, column, talks):
    path.write_text("\n".join(json.dumps({column: talk}) for talk in talks))
    return str(path)


FORMS = {
    "messages": TALKS,
    "conversations": [
        [{"from": SHARED[turn["role"]], "value": turn["content"]} for turn in talk] for talk in TALKS
    ],
    "chat": [json.dumps(talk) for talk in TALKS],
    "dialog": [
        [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in talk] for talk in TALKS
    ],
}


@pytest.mark.parametrize("column", FORMS)
def test_conversations_have_the_tokens_that_transformers_gives_them(chatty, tmp_path, column):
    path = write(tmp_path / "a.jsonl", column, FORMS[column])
    items = load_items(path, task=TASK, write_chat=ConversationWriter(chatty))
    tokenizer = AutoTokenizer.from_pretrained(chatty)
    own = load_tokenizer(chatty)
    for row, talk in zip(items.rows, TALKS, strict=True):
        expected = tokenizer.apply_chat_template(talk, tokenize=False)
        ids = own.encode(row["text"]).ids
        plain = tokenizer(expected, add_special_tokens=False)["input_ids"]
        assert ids[: len(plain)] == plain  # the tokenizer itself puts [CLS] first, and [SEP] last
        assert ids.count(2) == 1
    assert items.columns == {"text": f"{column} (conversations, by the model's chat template)"}
    unlabelled = load_unlabelled([path], task=TASK, write_chat=ConversationWriter(chatty))
    assert sorted(row["text"] for row in unlabelled.rows) == sorted(row["text"] for row in items.rows)


def test_conversations_without_a_template_are_refused_by_what_they_are(tiny_models, tmp_path):
    path = write(tmp_path / "a.jsonl", "messages", TALKS)
    with pytest.raises(CompressError, match="'messages' holds conversations") as error:
        load_items(path, task=TASK, write_chat=ConversationWriter(tiny_models("llama")))
    assert error.value.code == "chat-unsupported"


def test_a_named_column_and_text_beside_it(chatty, tmp_path):
    rows = [{"text": "plain", "talk": {"turns": talk}} for talk in TALKS]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    writer = ConversationWriter(chatty)
    plain = load_items(str(tmp_path / "a.jsonl"), task=TASK, write_chat=writer)
    assert plain.rows[0]["text"] == "plain"
    named = load_items(
        str(tmp_path / "a.jsonl"), task=TASK, columns={"text": "talk.turns"}, write_chat=writer
    )
    assert "why not" in named.rows[0]["text"]


@pytest.mark.parametrize("broken", [[{"role": "user"}], "words", [5], []])
def test_a_cell_that_is_no_conversation_is_named(chatty, tmp_path, broken):
    path = write(tmp_path / "a.jsonl", "messages", [*TALKS * 10, broken])
    with pytest.raises(CompressError, match="a.jsonl line 21") as error:
        load_items(path, task=TASK, write_chat=ConversationWriter(chatty))
    assert error.value.code == "row-invalid"
