"""A published decoder in ONNX Runtime GenAI against llama.cpp, in turn in one process.

    python -m tests.bench.llamacpp ARTIFACT MODEL.gguf --data text.txt [--rounds 12] [--tokens 64]

Each round reads a prompt of 128 tokens and then generates greedily, in both, in an order that changes. Needs
llama-cpp-python (`pip install llama-cpp-python` builds it). Medians, and quartiles of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from compress.core.cores import usable_cores

PROMPT = 128
Times = tuple[float, float]
"""Seconds of the prompt, and of a token."""


class GenAi:
    """The artifact, as its runtime generates with it."""

    def __init__(self, folder: Path, text: str) -> None:
        import onnxruntime_genai

        self._genai = onnxruntime_genai
        config = onnxruntime_genai.Config(str(folder))
        # As many as llama.cpp gets, and as `compress bench`.
        threads = {"intra_op_num_threads": usable_cores()}
        config.overlay(json.dumps({"model": {"decoder": {"session_options": threads}}}))
        self._model = onnxruntime_genai.Model(config)
        self._ids = onnxruntime_genai.Tokenizer(self._model).encode(text)[:PROMPT]

    def __call__(self, tokens: int) -> Times:
        settings = self._genai.GeneratorParams(self._model)
        settings.set_search_options(
            max_length=PROMPT + tokens + 1, min_length=PROMPT + tokens, do_sample=False
        )
        generator = self._genai.Generator(self._model, settings)
        start = time.perf_counter()
        generator.append_tokens(self._ids)
        generator.generate_next_token()
        read = time.perf_counter()
        for _ in range(tokens - 1):
            generator.generate_next_token()
        return read - start, (time.perf_counter() - read) / (tokens - 1)


class LlamaCpp:
    """A GGUF file in llama.cpp."""

    def __init__(self, path: Path, text: str, tokens: int) -> None:
        from llama_cpp import Llama

        cores = usable_cores()
        size = PROMPT + tokens
        self._model: Any = Llama(
            str(path), n_ctx=size + 8, n_batch=PROMPT, n_threads=cores, n_threads_batch=cores, verbose=False
        )
        self._ids = self._model.tokenize(text.encode())[:PROMPT]

    def __call__(self, tokens: int) -> Times:
        self._model.reset()
        start = time.perf_counter()
        self._model.eval(self._ids)
        token = self._model.sample(temp=0)
        read = time.perf_counter()
        for _ in range(tokens - 1):
            self._model.eval([token])
            token = self._model.sample(temp=0)
        return read - start, (time.perf_counter() - read) / (tokens - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=64)
    words = parser.parse_args()
    text = words.data.read_text(encoding="utf8")[:8000]
    pair = [GenAi(words.artifact, text), LlamaCpp(words.gguf, text, words.tokens)]
    for one in pair:
        one(words.tokens)
    found = np.zeros((words.rounds, 2, 2))
    for number in range(words.rounds):
        for place in (0, 1) if number % 2 else (1, 0):
            found[number, place] = pair[place](words.tokens)
    for index, (name, count) in enumerate((("prefill", PROMPT), ("decode", 1))):
        ours, theirs = found[:, 0, index], found[:, 1, index]
        low, middle, high = np.quantile(theirs / ours, (0.25, 0.5, 0.75))
        speeds = [count / float(np.median(one)) for one in (ours, theirs)]
        spread = f"{middle:.2f}x ({low:.2f}-{high:.2f}) llama.cpp"
        print(f"{name}: {speeds[0]:,.1f} and {speeds[1]:,.1f} tokens/s, {spread}")


if __name__ == "__main__":
    main()
