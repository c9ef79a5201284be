"""Texts that a language model writes by itself: what it knows, to calibrate, prune and heal on where own text
is short, or of few topics.

A first token is drawn at random and the others from what the model expects of them, as in LLM-QAT (Liu et
al. 2023, 2305.17888); Williams et al. 2024 (2410.17170) prune and quantize on such text.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.core.errors import CompressError
from compress.model.quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokenizers import Tokenizer

    from compress.core.artifact import Advance


def first_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """The tokens by which the words of `texts` begin, each once, int64 (N,): subjects that are the user's,
    and no language of a large vocabulary that is not.
    """
    found: set[int] = set()
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    for text, encoding in zip(texts, encodings, strict=True):
        begins = (text[max(start - 1, 0) : start + 1] for start, _ in encoding.offsets)
        found.update(number for number, near in zip(encoding.ids, begins, strict=True) if _begins(near))
    return np.array(sorted(found - set(_special(tokenizer))), dtype=np.int64)


def _begins(near: str) -> bool:
    """Whether a word begins at the last of these characters (the first of a text has none before it)."""
    return len(near) < 2 or near[0].isspace() or near[1].isspace()


def never_text(tokenizer: Tokenizer, rows: int) -> list[int]:
    """Of the ids below `rows`, those that are no text: special tokens, and rows of a table that was filled
    up.
    """
    known = set(tokenizer.get_vocab(with_added_tokens=True).values()) - set(_special(tokenizer))
    return [number for number in range(rows) if number not in known]


def opening(tokenizer: Tokenizer) -> list[int]:
    """What the tokenizer puts before a text by itself."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    inserted = zip(encoding.ids, encoding.special_tokens_mask, strict=True)
    return [number for number, _ in takewhile(lambda one: one[1], inserted)]


def written(
    module: Any,
    begun: np.ndarray,
    *,
    length: int,
    without: Sequence[int],
    seed: Sequence[int],
    advance: Advance,
) -> np.ndarray:
    """Texts that go on from the tokens `begun`, int64 (B, T) -> (B, `length`): each token drawn from all of
    the model's probabilities but those of the ids in `without`. `advance` is told of each token. The same
    `seed` gives the same texts on the same machine.

    Raises:
        CompressError: the model keeps nothing of what it read.
    """
    generator = np.random.default_rng(list(seed))
    found = fresh = torch.from_numpy(begun).to(module.device)
    kept: dict[str, Any] = {}
    banned = torch.tensor(without, dtype=torch.long, device=module.device)
    with torch.inference_mode(), quiet_transformers():
        while found.shape[1] < length:
            answer = module(input_ids=fresh, use_cache=True, **kept)
            kept = _kept(answer)
            chances = answer.logits[:, -1].float().index_fill(-1, banned, -torch.inf).softmax(dim=-1)
            fresh = _drawn(chances, torch.from_numpy(generator.random((len(found), 1))))
            found = torch.cat([found, fresh], dim=1)
            advance(len(found))
    return np.asarray(found.cpu().numpy())


def _kept(answer: Any) -> dict[str, Any]:
    """What the next call gets of what was read, under the name that the model has for it: under another, it
    is ignored.
    """
    for name in ("cache", "past_key_values", "cache_params"):
        if name in answer:
            return {name: answer[name]}
    message = f"a {type(answer).__name__} has nothing of what was read"
    raise CompressError("sample-model", message, hint="only models with a cache write text")


def _drawn(chances: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """An id of each row (B, V), (B, 1), by inverting the distribution function at `uniform` in [0, 1): one
    random number a row. torch.multinomial draws one for each id, and took a quarter of the time.
    """
    below = chances.double().cumsum(dim=-1)
    return torch.searchsorted(below, uniform.to(below.device) * below[:, -1:], right=True)


def _special(tokenizer: Tokenizer) -> Iterable[int]:
    return [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
