"""What the user's metric does not show: text of a domain that no step saw, and what tokens became."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from compress.core.report import Elsewhere
from compress.data.items import load_items
from compress.measure.catalogue import choose_metric
from compress.runtime.files import same_tokenizer
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from compress.core.recipe import Recipe
    from compress.data.items import Items
    from compress.pipeline.judge import Judge

LEAST_ITEMS = 50
"""Passages below which a figure would say nothing."""
MOST_ITEMS = 400
_UNTOLD = "not compared on text of a domain that no step saw"
_GIVEN = ("text", "text_pair", "question", "context")


def elsewhere(judge: Judge, graph: Path, recipe: Recipe, *, task: str) -> Elsewhere | str | None:
    """Fidelity on the shipped sample of text, where a model was pruned or healed on other text: what was
    healed on one kind of text must not have broken another. Where no such text is left, a sentence that
    says so; None where no step calls for it.
    """
    changed = any(step.name.split(".")[0] in ("prune", "heal") for step in recipe.steps)
    if not changed or judge.preprocessor.modality != "text":
        return None
    if judge.splits.items.licence is not None:
        return f"{_UNTOLD}: the shipped sample is what the result was judged on"
    items = unseen(load_items(None, task=task), judge.splits.calibration_rows(task))
    if len(items) < LEAST_ITEMS:
        return (
            f"{_UNTOLD}: the calibration text holds the shipped sample ({len(items)} of its passages are new)"
        )
    own_tokens = not same_tokenizer(graph.parent, judge.base.folder)
    name = "perplexity" if own_tokens and task in ("fill-mask", "text-generation") else "fidelity"
    metric = choose_metric(task, labelled=False, name=name, config=judge.plan.model.config)
    if own_tokens and task == "question-answering":
        return f"{_UNTOLD}: answers are compared by their places among the tokens, which are others now"
    accuracy = judge.on(items, graph, runtime=recipe.runtime, metric=metric)
    return Elsewhere(source=items.source, accuracy=accuracy, same_domain=bool(judge.splits.general))


def unseen(items: Items, rows: Sequence[Mapping[str, Any]]) -> Items:
    """Those items whose text is in none of the rows, not even as a part; at most `MOST_ITEMS`."""
    seen = "\n".join(_letters(row) for row in rows)
    left = [at for at, row in enumerate(items.rows) if _letters(row) not in seen]
    step = max(len(left) / MOST_ITEMS, 1)
    kept = items.take([left[int(at * step)] for at in range(int(len(left) / step))])
    return replace(kept, source=items.source)


def _letters(row: Mapping[str, Any]) -> str:
    """A row's text without case, spaces and signs, which differ between editions of the same text."""
    words = [str(row.get(name, "")) for name in _GIVEN] + [str(word) for word in row.get("tokens", ())]
    return re.sub(r"\W+", "", " ".join(words)).casefold()


def told_elsewhere(found: Elsewhere | str | None) -> list[str]:
    """The same in words."""
    if found is None or isinstance(found, str):
        return [found] if found else []
    one = found.accuracy
    unseen = (
        "other articles than those that were mixed in"
        if found.same_domain
        else "text of a domain that no step saw"
    )
    return [
        f"on {unseen} ({found.source}, {one.items} items): {one.metric} "
        f"{one.baseline:.4g} -> {one.result:.4g} (drop at most {one.drop_upper_95:.4g})"
    ]


def told_tokens(folder: Path, original: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many of the judged text's tokens another tokenizer cuts anew, and how many more it makes."""
    if same_tokenizer(folder, original):
        return []
    texts = [str(row[name]) for row in rows for name in _GIVEN if row.get(name)]
    texts += [" ".join(map(str, row["tokens"])) for row in rows if row.get("tokens")]
    before, after, changed = count_changed(folder, original, texts)
    if not before:
        return []
    return [
        f"of {before:,} tokens of the judged text {changed / before:.2%} are cut anew, into smaller ones: "
        f"texts have {after / before - 1:.2%} more tokens (speeds are compared at equal numbers of tokens)"
    ]


def count_changed(folder: Path, original: Path, texts: Sequence[str]) -> tuple[int, int, int]:
    """Tokens of texts before and after a change of the tokenizer, and how many of the first were lost."""
    tokenizers = [load_tokenizer(one) for one in (original, folder)]
    for tokenizer in tokenizers:
        tokenizer.no_truncation()
    before = after = changed = 0
    for first, second in zip(*(one.encode_batch(list(texts)) for one in tokenizers), strict=True):
        kept = set(zip(second.tokens, second.offsets, strict=True))
        before, after = before + len(first), after + len(second)
        changed += sum(one not in kept for one in zip(first.tokens, first.offsets, strict=True))
    return before, after, changed
