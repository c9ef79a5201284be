"""What each task's model answers to rows of data: graph, then the task's post-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from compress.core.errors import InternalError
from compress.runtime.classify import label_names
from compress.runtime.ctc import load_ctc
from compress.runtime.embed import frame_mask
from compress.runtime.mask import fill_masks
from compress.runtime.next_token import next_tokens
from compress.runtime.outputs import logits_of
from compress.runtime.qa import best_answer, start_end
from compress.runtime.text import TextPreprocessor
from compress.runtime.tokens import find_spans, joined_spans, tags_of_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenizers import Encoding

    from compress.runtime.embed import Head
    from compress.runtime.engine import Engine
    from compress.runtime.preprocess import Row


def embeddings(
    engine: Engine, rows: Sequence[Row], batch_size: int, *, head: Head, normalize: bool | None
) -> np.ndarray:
    """(N, D) float32. Texts of like length share a batch, so that little is padded."""
    if not rows:
        return np.zeros((0, 0), dtype=np.float32)
    order = sorted(range(len(rows)), key=lambda index: -len(str(rows[index].get("text", ""))))
    batches = engine.batches([rows[index] for index in order], batch_size)
    vectors = np.concatenate([head.apply(*batch, normalize=normalize) for batch in batches])
    result = np.empty_like(vectors)
    result[order] = vectors
    return result


def logits(engine: Engine, rows: Sequence[Row], batch_size: int) -> np.ndarray:
    """(N, classes)."""
    parts = [logits_of(outputs) for outputs, _ in engine.batches(rows, batch_size)]
    return np.concatenate(parts) if parts else np.zeros((0, 0), dtype=np.float32)


def spans(engine: Engine, rows: Sequence[Row], batch_size: int) -> list[list[Any]]:
    """Of each text its spans, as `find_spans` gives them; of each list of words their tags. What is longer
    than the model takes is read in windows that overlap.
    """
    names, overlap = label_names(engine.config), _text(engine).overlap
    found: list[list[Any]] = []
    for row, windows in _windowed(engine, rows, batch_size):
        if "tokens" in row:
            tags = tags_of_words(windows, overlap)
            found.append([names.get(tags.get(word, -1), "O") for word in range(len(row["tokens"]))])
            continue
        text = str(row["text"])
        parts = [find_spans(values, encoding, text=text, names=names) for encoding, values in windows]
        found.append(joined_spans([span for part in parts for span in part]) if len(parts) > 1 else parts[0])
    return found


def fills(engine: Engine, rows: Sequence[Row], batch_size: int) -> list[list[list[dict[str, Any]]]]:
    """Of each text, for each of its masks, the five likeliest tokens."""
    text = _text(engine)
    return [
        fill_masks(values, encoding, tokenizer=text.tokenizer, mask_id=text.mask_id())
        for _, encoding, values in _encoded(engine, rows, batch_size)
    ]


def continuations(engine: Engine, rows: Sequence[Row], batch_size: int) -> list[list[dict[str, Any]]]:
    """Of each text the five likeliest next tokens."""
    tokenizer = _text(engine).tokenizer
    return [next_tokens(values, tokenizer) for _, _, values in _encoded(engine, rows, batch_size)]


def replies(engine: Engine, rows: Sequence[Row], batch_size: int) -> list[dict[str, Any]]:
    """Of each question and context the best span; a long context is read in several windows."""
    text = _text(engine)
    found = []
    for row, windows in zip(rows, text.windows(rows), strict=True):
        judged = []
        size = _size(engine, batch_size)
        for start in range(0, len(windows), size):
            part = windows[start : start + size]
            outputs = engine.run(text.batch(part))
            begins, ends = (text.unpadded(array, part) for array in start_end(outputs))
            judged += list(zip(begins, ends, part, strict=True))
        found.append(best_answer(judged, str(row["context"])))
    return found


def transcripts(engine: Engine, rows: Sequence[Row], batch_size: int) -> list[str]:
    """Of each sound its text, by the best path."""
    decoder = load_ctc(engine.folder)
    texts = []
    for outputs, feeds in engine.batches(rows, batch_size):
        frames = logits_of(outputs)
        counts = frame_mask(feeds, frames.shape).sum(axis=1)
        texts += [decoder.decode(item[:count]) for item, count in zip(frames, counts, strict=True)]
    return texts


def _encoded(
    engine: Engine, rows: Sequence[Row], batch_size: int
) -> Iterator[tuple[Row, Encoding, np.ndarray]]:
    """Each row, its encoding, and the logits (T, ...) of its tokens without padding."""
    text, size = _text(engine), _size(engine, batch_size)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        encodings = text.cut(text.encodings(part))
        yield from zip(part, encodings, _logits(engine, encodings), strict=True)


def _windowed(
    engine: Engine, rows: Sequence[Row], batch_size: int
) -> Iterator[tuple[Row, list[tuple[Encoding, np.ndarray]]]]:
    """Each row, and its windows with the logits (T, ...) of their tokens without padding."""
    groups, size = _text(engine).windows(rows), _size(engine, batch_size)
    windows = [window for group in groups for window in group]
    parts = [windows[start : start + size] for start in range(0, len(windows), size)]
    arrays = iter([array for part in parts for array in _logits(engine, part)])
    for row, group in zip(rows, groups, strict=True):
        yield row, [(window, next(arrays)) for window in group]


def _logits(engine: Engine, encodings: Sequence[Encoding]) -> list[np.ndarray]:
    text = _text(engine)
    return text.unpadded(logits_of(engine.run(text.batch(encodings))), encodings)


def _size(engine: Engine, batch_size: int) -> int:
    """Texts at once: one where the graph takes no mask and would read padding as text."""
    return batch_size if _text(engine).mixed_lengths else 1


def _text(engine: Engine) -> TextPreprocessor:
    if not isinstance(engine.preprocessor, TextPreprocessor):
        message = "a task of text was given a graph of another kind of input"
        raise InternalError("input-unsupported", message, hint="report this")
    return engine.preprocessor
