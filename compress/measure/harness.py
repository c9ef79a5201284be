"""Tasks of the language model evaluation harness (lm-evaluation-harness), on whatever `compress` can run.

The harness asks for log likelihoods of continuations and for texts that end at given strings; both come from
the artifact's own graph, so that what is scored is what is shipped. Its tasks read their data with the
`datasets` library: from the Hub, or from local files that a task's YAML names.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lm_eval import simple_evaluate
from lm_eval.api.model import TemplateLM
from lm_eval.tasks import TaskManager

from compress.core.errors import CompressError
from compress.runtime.files import read_settings
from compress.runtime.generate import load_decoder
from compress.runtime.limits import max_tokens
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from compress.graph.session import Runner

_NEW_TOKENS = 256
"""Of a generated answer, where its task names no number: the harness's own default."""


@dataclass(frozen=True, kw_only=True)
class TaskScore:
    """One metric of one task; `error` is its standard error where the harness knows it."""

    task: str
    metric: str
    value: float
    error: float | None
    items: int


class HarnessModel(TemplateLM):
    """A causal language model as the harness wants it."""

    def __init__(self, folder: Path, runner: Runner, *, longest: int) -> None:
        super().__init__()
        self._folder, self._runner, self._longest = folder, runner, longest
        self._tokenizer = load_tokenizer(folder)
        self._tokenizer.no_truncation()

    @property
    def eot_token_id(self) -> int:
        """What empty contexts are replaced by: the text's end, or else its beginning."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self._folder, local_files_only=True).get_text_config()
        for found in (config.eos_token_id, config.bos_token_id):
            if found is not None:
                return int(found[0] if isinstance(found, list) else found)
        message = f"{self._folder / 'config.json'} names no token for the end of a text"
        raise CompressError("config-invalid", message, hint="give it an eos_token_id")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Token ids, with the special tokens that the tokenizer adds unless they are declined."""
        encoded = self._tokenizer.encode(string, add_special_tokens=add_special_tokens is not False)
        ids: list[int] = encoded.ids
        return ids

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        del disable_tqdm
        return [self._scored(context, continuation) for _, context, continuation in requests]

    def _scored(self, context: list[int], continuation: list[int]) -> tuple[float, bool]:
        """Log likelihood of a continuation, and whether each of its tokens is the likeliest."""
        ids = [*context, *continuation]
        ids = ids[-self._longest - 1 :]  # the last token is only asked for
        count = min(len(continuation), len(ids) - 1)
        tokens = np.array([ids[:-1]], np.int64)
        outputs = self._runner.run({"input_ids": tokens, "attention_mask": np.ones_like(tokens)})
        logits = outputs["logits"][0, -count:].astype(np.float64)
        wanted = np.array(ids[-count:])
        most = logits.max(axis=-1)
        scores = logits[np.arange(count), wanted] - most - np.log(np.exp(logits - most[:, None]).sum(axis=-1))
        return float(scores.sum()), bool((logits.argmax(axis=-1) == wanted).all())

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Log likelihoods of whole texts, in windows as long as the model takes."""
        del disable_tqdm
        return [self._rolled(self.tok_encode(request.args[0])) for request in requests]

    def _rolled(self, ids: list[int]) -> float:
        size = min(self._longest, len(ids))
        total = 0.0
        for start in range(0, len(ids), size):
            before = [ids[start - 1] if start else self.eot_token_id]
            total += self._scored(before, ids[start : start + size])[0]
        return total

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Texts up to the first of the strings that end them.

        Raises:
            CompressError: the model is no artifact with a cache.
        """
        del disable_tqdm
        model = load_decoder(self._folder, threads=0)
        made = []
        for prompt, settings in (request.args for request in requests):
            text, ends = "", settings.get("until") or []
            for piece in model.stream(prompt, tokens=settings.get("max_gen_toks", _NEW_TOKENS)):
                text += piece
                if any(end in text for end in ends):
                    break
            made.append(min((text.split(end)[0] for end in ends), key=len, default=text))
        return made


def score(
    folder: Path, runner: Runner, tasks: Sequence[str], *, extra: Path | None, limit: int | None
) -> list[TaskScore]:
    """Run tasks on the model in `folder`, opened as `runner`; `extra` holds task files of the user's own.

    Raises:
        CompressError: there is no such task, or its data cannot be read.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)  # advice to those who write tasks
    manager = TaskManager(include_path=str(extra) if extra else None)
    unknown = [name for name in tasks if name not in manager.all_tasks]
    if unknown:
        message = f"the harness has no task '{unknown[0]}'"
        raise CompressError("task-unknown", message, hint="`lm-eval ls tasks` lists them")
    model = HarnessModel(folder, runner, longest=_longest(folder))
    try:
        found: Any = simple_evaluate(model=model, tasks=list(tasks), limit=limit, task_manager=manager)
    except CompressError:
        raise
    except (OSError, ValueError, ConnectionError) as error:  # what `datasets` raises on data it cannot get
        reason = " ".join(str(error).split())[:300]
        message = f"the harness cannot read its data: {reason}"
        raise CompressError("data-missing", message, hint="its tasks read from the Hub's cache") from error
    return [one for task in tasks for one in _scores(task, found)]


def _longest(folder: Path) -> int:
    config, tokenizer = (read_settings(folder / name) for name in ("config.json", "tokenizer_config.json"))
    return max_tokens(config=config, tokenizer=tokenizer, sentence={})


def _scores(task: str, found: Any) -> list[TaskScore]:
    values = found["results"][task]
    items = int(found["n-samples"][task]["effective"])
    made = []
    for key, value in values.items():
        metric, _, kind = key.partition(",")
        if not isinstance(value, float | int) or metric.endswith("_stderr") or not kind:
            continue
        error = values.get(f"{metric}_stderr,{kind}")
        error = float(error) if isinstance(error, float | int) else None
        made.append(TaskScore(task=task, metric=metric, value=float(value), error=error, items=items))
    return made
