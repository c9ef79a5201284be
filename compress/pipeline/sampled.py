"""What a language model writes by itself, as a file to calibrate on. Finished batches survive a kill."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from compress.core.errors import CompressError
from compress.core.locks import exclusive
from compress.core.paths import refuse_unwritable, unwritable, whole_file
from compress.core.seal import is_whole, resume_point
from compress.data.sample import sample_texts
from compress.data.unlabelled import load_unlabelled
from compress.model.arithmetic import has_bfloat16
from compress.model.load import load_module
from compress.model.sampling import first_tokens, never_text, opening, written
from compress.model.sizes import text_sizes
from compress.pipeline.cache import cache_folder, step_key
from compress.runtime.conversations import ConversationWriter
from compress.runtime.limits import max_tokens
from compress.runtime.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from compress.core.artifact import Advance, Progress
    from compress.model.resolve import Model

TASK = "text-generation"
_ROWS = 128
"""Texts that are written at once, at most."""
_CACHE_BYTES = 1 << 30
"""Of keys and values, at most."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """So many texts of so many tokens each, whose first words are some of those in `like` (files, folders or
    Hub data sets; none: the shipped sample's).
    """

    count: int
    length: int
    like: tuple[str, ...] = ()
    seed: int = 0


def sample_to(model: Model, out: Path, wanted: Wanted, *, offline: bool, progress: Progress) -> None:
    """Write texts of `model` as JSON lines.

    Raises:
        CompressError: the model is no language model or reads less than `length`, what they are to be like
            cannot be read, or `out` cannot be written.
    """
    _refuse(model, wanted.length)
    texts = _texts(wanted.like, model, offline=offline)
    try:
        parts = _kept(model, wanted, texts, progress)
        found = [text for part in parts for text in json.loads(part.read_text(encoding="utf8"))]
        lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in found]
        with whole_file(out) as written:
            written.write_text("".join(lines), encoding="utf8")
    except OSError as error:
        raise unwritable(out, error) from error


def refuse_out(out: Path) -> None:
    """Refuse a file that is there, or that could not be written; look at this before any long work.

    Raises:
        CompressError: as it says, or its name does not end in .jsonl.
    """
    if out.suffix != ".jsonl":
        message = f"{out} is not the name of a file of JSON lines"
        raise CompressError("output-invalid", message, hint="name a .jsonl")
    if out.exists():
        raise CompressError("output-exists", f"{out} exists already", hint="name another file with --out")
    refuse_unwritable(out)


def _refuse(model: Model, length: int) -> None:
    if model.task != TASK:
        message = f"{model.ref} does {model.task}: it writes no text"
        raise CompressError("sample-task", message, hint="only language models write text")
    limit = max_tokens(config=model.config, tokenizer={}, sentence={})
    if length > limit:
        message = f"{model.ref} reads at most {limit:,} tokens, not {length:,}"
        raise CompressError("sample-length", message, hint=f"pass --length {limit}")


def _texts(like: tuple[str, ...], model: Model, *, offline: bool) -> list[str]:
    if not like:
        return list(sample_texts())
    write = ConversationWriter(model.folder)
    return [
        str(row["text"]) for row in load_unlabelled(like, task=TASK, write_chat=write, offline=offline).rows
    ]


def _kept(model: Model, wanted: Wanted, texts: list[str], progress: Progress) -> list[Path]:
    """The files of all batches, those that an earlier run did not finish written."""
    read = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    config = {"length": wanted.length, "seed": wanted.seed}
    key = step_key(model.digest, step="sample", config=config, inputs={"texts": read})
    folder, rows = cache_folder() / "sampled" / key, _rows(model, wanted.length)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [min(rows, wanted.count - start) for start in range(0, wanted.count, rows)]
    files = [folder / f"{number}-{size}.json" for number, size in enumerate(sizes)]
    lock = folder.with_name(f"{key}.lock")
    with (
        exclusive(lock, waiting=lambda: progress.note("another run writes these texts: waiting for it")),
        progress.track("write texts", total=wanted.count * wanted.length) as advance,
    ):
        writer = None
        for number, (file, size) in enumerate(zip(files, sizes, strict=True)):
            if is_whole(file):
                advance(size * wanted.length)
                continue
            writer = writer or Writer(model, texts)
            with resume_point(file) as part:
                part.write_text(json.dumps(writer.batch(number, size, wanted, advance)), encoding="utf8")
    return files


def _rows(model: Model, length: int) -> int:
    """Texts that are written at once: as many as there is room for keys and values of."""
    sizes = text_sizes(model.config)
    token = 2 * sizes.layers * sizes.kv_heads * sizes.head * 4
    return max(4, min(_ROWS, _CACHE_BYTES // (token * length)))


class Writer:
    """A language model, loaded to write."""

    def __init__(self, model: Model, texts: list[str]) -> None:
        self._tokenizer = load_tokenizer(model.folder)
        self._tokenizer.no_truncation()
        self._first = first_tokens(self._tokenizer, texts)
        if not len(self._first):
            raise CompressError("data-empty", "there is no word to begin with", hint="give text with --like")
        cuda = torch.cuda.is_available()
        dtype = torch.bfloat16 if cuda or has_bfloat16() else torch.float32
        self._module: Any = load_module(model.folder, model.task, dtype=dtype).to("cuda" if cuda else "cpu")
        if not cuda and self._module.config._attn_implementation == "sdpa":
            self._module.set_attn_implementation("eager")  # of one new token it takes .8 of the time
        self._without = never_text(self._tokenizer, self._module.get_output_embeddings().weight.shape[0])

    def batch(self, number: int, size: int, wanted: Wanted, advance: Advance) -> list[str]:
        """The texts of one batch."""
        chosen = np.random.default_rng([wanted.seed, number]).choice(self._first, size)
        before = np.tile(np.array(opening(self._tokenizer), np.int64), (size, 1))
        begun = np.concatenate([before, chosen[:, None]], axis=1)
        advance(begun.size)
        ids = written(
            self._module,
            begun,
            length=wanted.length,
            without=self._without,
            seed=(wanted.seed, number, 1),
            advance=advance,
        )
        return [str(text) for text in self._tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True)]
