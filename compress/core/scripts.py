"""Texts on which readers of one tokenizer come apart, where they do: scripts, spaces, marks and signs."""

from __future__ import annotations

VARIED = (
    "",
    " ",
    "A quick brown fox jumps over the lazy dog.",
    "MIXED Case, ÀÉÎÕÜ and straße; İstanbul, ΣΊΣΥΦΟΣ",
    "  two leading, two  inside, two trailing  ",
    "\ttabs\tand\nlines\r\nand\u00a0no-break\u2003and wide\u3000spaces\u2028",
    "caf\u00e9 cafe\u0301 \u1e9b\u0323 \ufb01ne \u2460 \uff21\uff22 \u212b",
    "don't can't we're it's he'll I'd they've o'clock — \u2018quoted\u2019 \u201ctwice\u201d \u2026",
    "3.14159 1,234,567 10^-3 2024-02-29 12:34:56 0x1F ½ ٣٤٥ ४५६",
    "def f(x):\n    return {'a': x[0] != None}  # tabs\t\n\n\nif (a && b) { c++; }",
    "https://example.org/path?q=a%20b&c=d#e user@example.com @name #tag",
    "我们把模型变小,并证明它仍然准确。",
    "モデルを小さくする。ﾊﾝｶｸ ガ か\u3099",
    "모델을 작게 만듭니다",
    "نصغّر النماذج، ونثبت أنّها دقيقة ـ ٱلْقُرْآن",
    "אנחנו מקטינים מודלים, שָׁלוֹם",
    "हम मॉडल छोटे करते हैं। क्षत्रिय",
    "เราทำให้โมเดลเล็กลง",
    "Мы уменьшаем модели, ёлка и й",
    "😀 👍🏽 👩‍👩‍👧 🇩🇪 ☃️ ❤",
    "\u200bzero\u200dwidth\ufeff soft\u00adhyphen \u202eright to left\u202c",
    "bell\x07 null\x00 escape\x1b[31m delete\x7f private\ue000 lost\ufffd",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "<s> </s> [CLS] [MASK] <mask> <pad> <unk> <|endoftext|> ▁under Ġbyte ##piece",
)
"""Composed and decomposed letters, controls, code, numbers, nine scripts, emoji, and other models' tokens."""
