"""What a terminal would obey is made visible; what people read stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.core.visible import visible


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("\u202eexe.txt", "\\u202eexe.txt"),
        ("\x9b31m", "\\x9b31m"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
    ],
)
def test_control_characters_become_escapes(written, shown) -> None:
    assert visible(written) == shown


@pytest.mark.parametrize(
    "text", ["plain", "Straße", "日本語", "हिन्दी", "العربية", "👩\u200d👧", "naïve café ½"]
)
def test_text_of_any_script_stays(text) -> None:
    assert visible(text) == text


def test_what_is_to_be_kept_stays() -> None:
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@given(st.text())
def test_nothing_shown_is_a_control_character(text) -> None:
    shown = visible(text)
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in shown)
    shown.encode("utf8")
