"""Conversations as transformers writes them, and templates that never end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from compress.core.errors import CompressError
from compress.runtime.chat import ChatTemplate
from compress.runtime.template_limits import MEMORY, SECONDS
from compress.runtime.templates import Renderer

FOLDER = Path(__file__).with_name("templates")
TEMPLATES = {path.stem: path.read_text(encoding="utf8") for path in FOLDER.glob("*.jinja")}
CHATML = TEMPLATES["chatml"]
USER = [{"role": "user", "content": "  Wie groß ist \"<|eot_id|>\"?\n\n'é' 日本 "}]
LONGER = [
    *USER,
    {"role": "assistant", "content": "<think>\nwell\n</think>\n\nno "},
    {"role": "user", "content": "why"},
]
SYSTEM = [{"role": "system", "content": "Be brief."}, *LONGER]


def model(folder, template=None, **written):
    core = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2, "<pad>": 3, "a": 4}, unk_token="<unk>"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, **names, extra_special_tokens={"image_token": "<img>"}
    )
    made.chat_template = template
    made.save_pretrained(folder)
    if written:
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | written))
    return folder


def theirs(folder, messages, **settings):
    return AutoTokenizer.from_pretrained(folder).apply_chat_template(messages, tokenize=False, **settings)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_conversations_are_written_as_transformers_writes_them(tmp_path, name):
    folder = model(tmp_path, TEMPLATES[name])
    template = ChatTemplate(folder)
    for messages in (USER, LONGER) if name == "gemma" else (USER, LONGER, SYSTEM):
        for add in (True, False):
            expected = theirs(folder, messages, add_generation_prompt=add)
            assert template.render(messages, add_generation_prompt=add) == expected


NAMED = [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": "tools"}]


@pytest.mark.parametrize(
    ("written", "files"),
    [
        (CHATML, {}),
        (NAMED, {}),
        (list(reversed(NAMED)), {}),
        ({"default": CHATML, "rag": "rag"}, {}),
        ("never", {"chat_template.jinja": CHATML}),
        (NAMED, {"chat_template.jinja": "{{ bos_token }}file"}),
        (None, {"chat_template.jinja": CHATML, "additional_chat_templates/rag.jinja": "rag"}),
    ],
)
def test_the_default_template_is_taken(tmp_path, written, files):
    folder = with_files(model(tmp_path, chat_template=written), files)
    expected = theirs(folder, USER, add_generation_prompt=True)
    assert ChatTemplate(folder).render(USER) == expected
    assert expected.strip()


@pytest.mark.parametrize(
    ("written", "files", "reason"),
    [
        (None, {}, "no template"),
        (NAMED[1:], {}, "named tool_use, and none"),
        (CHATML, {"additional_chat_templates/rag.jinja": "rag"}, "named rag, and none"),
    ],
)
def test_without_a_default_template_there_is_no_chat(tmp_path, written, files, reason):
    folder = with_files(model(tmp_path, chat_template=written), files)
    with pytest.raises(ValueError, match="chat_template|chat templates"):
        theirs(folder, USER)
    with pytest.raises(CompressError, match=reason):
        ChatTemplate(folder)


def with_files(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_special_tokens_of_old_folders(tmp_path):
    """Before transformers 4.34 they were in a file of their own, which wins over the configuration."""
    folder = model(tmp_path, "{{ bos_token }}{{ eos_token }}{{ mask_token is defined }}")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    for name in ("added_tokens_decoder", "extra_special_tokens", "image_token"):
        config.pop(name, None)
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "eos_token": "a"}))
    tokens = {"bos_token": {"content": "</s>", "lstrip": False}, "eos_token": "<unk>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))
    assert ChatTemplate(folder).render(USER) == theirs(folder, USER) == "</s><unk>False"


@pytest.fixture(scope="module")
def renderer():
    return Renderer()


ENDLESS = [
    "{% for a in range(10**9) %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ lipsum(n=1000000) }}",
]
GREEDY = [
    "{{ 'a' * 10**9 }}",
    "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{{ '%999999999s' % 'a' }}{{ '{:>999999999}'.format('a') }}{{ 'a'.center(999999999) }}",
    "{{ range(99999) | map('string') | map('center', 99999) | list | length }}",
]
LONG = ["{% for a in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}", "{{ 'ü' * 600000 }}"]
DEEP = ["{% if 1 %}" * 400 + "{% endif %}" * 400, "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}"]
HOSTILE = [
    "{{ ().__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.append(1) }}",
    "{{ cycler.__init__.__globals__.os.popen('touch /tmp/no') }}",
    "{{ namespace(__class__=1) }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ raise_exception('no\x1b[2Jthing') }}",
    "{% for %}",
    "{% include '/etc/passwd' %}",
]


@pytest.mark.parametrize("template", ENDLESS + GREEDY + LONG + DEEP + HOSTILE)
def test_templates_have_limits(renderer, template):
    assert renderer.render("warm {{ messages[0].content }}", {"messages": USER}).startswith("warm")
    start = time.monotonic()
    with pytest.raises(CompressError, match="chat-unsupported") as caught:
        renderer.render(template, {"messages": USER})
    # Within its limit and a moment to end the process; other programs may take the processor meanwhile.
    assert time.monotonic() - start < SECONDS + 8
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert renderer.render("{{ 1 + 1 }}", {}) == "2"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's figures")
def test_memory_is_bounded(renderer):
    renderer.render("warm", {})
    process = renderer._process
    with pytest.raises(CompressError):
        renderer.render(GREEDY[1], {})
    if process.poll() is None:
        with open(f"/proc/{process.pid}/status") as status:
            (peak,) = (int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
        assert peak < MEMORY + 100 * 2**20


def test_the_process_ends_with_its_renderer():
    renderer = Renderer()
    renderer.render("a", {})
    process = renderer._process
    del renderer
    assert process.wait(30) is not None


@pytest.mark.parametrize("kind", ["folder", "pipe", "huge", "bytes"])
def test_template_files_are_regular_and_small(tmp_path, kind):
    path = model(tmp_path) / "chat_template.jinja"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    if kind == "huge":
        path.write_text("a" * (2**20 + 1))
    if kind == "bytes":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CompressError, match="config-invalid"):
        ChatTemplate(tmp_path)


PIECES = [
    "{%",
    "%}",
    "{{",
    "}}",
    " for a in messages ",
    " endfor ",
    " if a ",
    " endif ",
    " a.content ",
    "|trim",
    "x",
]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_template_is_rendered_or_refused(renderer, template):
    try:
        assert isinstance(renderer.render(template, {"messages": USER}), str)
    except CompressError as error:
        assert "\n" not in error.message
