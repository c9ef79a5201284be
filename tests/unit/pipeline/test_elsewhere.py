from __future__ import annotations

import json

import pytest

from compress.core.report import Accuracy, Elsewhere
from compress.data.items import load_items
from compress.model.vocabulary import tokenizer
from compress.pipeline.elsewhere import MOST_ITEMS, count_changed, told_elsewhere, told_tokens, unseen
from tests.unit.model.vocabulary.tokenizers_of import wordpiece


@pytest.fixture
def folders(tmp_path):
    """A tokenizer, and the same cut to what `the dog` needs."""
    core = wordpiece()
    document = json.loads(core.to_str())
    numbers = tokenizer.numbered(tokenizer.closed(document, set(core.encode("the dog").ids)))
    for name, one in (("whole", document), ("cut", tokenizer.cut(document, numbers))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_text(json.dumps(one))
    return tmp_path / "cut", tmp_path / "whole"


def test_lost_tokens_are_counted(folders):
    cut, whole = folders
    core = wordpiece()
    one, two = core.encode("the dog"), core.encode("the happiness")
    lost = [token for token in two.tokens if token not in one.tokens]
    before, after, changed = count_changed(cut, whole, ["the dog", "the happiness"])
    assert before == len(one) + len(two)
    assert changed == len([token for token in lost if len(token.removeprefix("##")) > 1])
    assert after > before


def test_the_report_tells_them(folders):
    cut, whole = folders
    assert told_tokens(whole, whole, [{"text": "the happiness"}]) == []
    (line,) = told_tokens(cut, whole, [{"text": "the happiness", "text_pair": "the dog", "label": 1.0}])
    assert "tokens of the judged text" in line
    assert told_tokens(cut, whole, [{"image": "a.png"}]) == []


def test_text_that_was_seen_in_any_edition_is_no_other_domain():
    items = load_items(None, task="feature-extraction")
    first = items.rows[0]["text"]
    other = f"Before. {first.upper().replace(',', ' ,')} After."
    left = unseen(items, [{"text": other}])
    assert len(left) == MOST_ITEMS
    assert first not in [row["text"] for row in left.rows]
    assert items.rows[1]["text"] in [row["text"] for row in left.rows]
    assert not unseen(items, [dict(row) for row in items.rows]).rows


def test_what_was_found_is_told():
    accuracy = Accuracy(
        metric="similarity_rank", kind="fidelity", items=300, baseline=1.0, result=0.953, drop=0.047,
        drop_upper_95=0.06,
    )  # fmt: skip
    (line,) = told_elsewhere(Elsewhere(source="sample", accuracy=accuracy))
    assert "300 items" in line
    assert "1 -> 0.953" in line
    assert told_elsewhere(None) == []
    assert told_elsewhere("not compared: why") == ["not compared: why"]
