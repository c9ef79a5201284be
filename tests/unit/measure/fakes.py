"""Models without weights: folders of a tokenizer over a few words, and functions in place of graphs."""

from __future__ import annotations

import json

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from compress.graph.session import TensorSpec
from compress.measure.evaluate import evaluate
from compress.runtime.text import load_text

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"w{number}" for number in range(40)]
VOCABULARY = len(SPECIAL) + len(WORDS)


class Model:
    """A graph whose outputs are `function(feeds)`."""

    def __init__(self, function, *, batch=None, inputs=("input_ids", "attention_mask")):
        self.function = function
        self.inputs = tuple(TensorSpec(name, "int64", (batch, None)) for name in inputs)
        self.outputs = ()
        self.sizes = []

    def run(self, feeds):
        size = len(next(iter(feeds.values())))
        assert self.inputs[0].shape[0] in (None, size)
        self.sizes.append(size)
        return self.function(feeds)


class Arrays:
    """Rows hold the input itself, as `image`."""

    modality = "image"
    mixed_lengths = True

    def feeds(self, rows):
        return {"pixel_values": np.stack([row["image"] for row in rows])}


def text_folder(folder, *, special=True, length=64, config=None):
    """A folder with a tokenizer of whole words; `special` adds [CLS] and [SEP]."""
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(SPECIAL)
    if special:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"model_max_length": length, "pad_token": "[PAD]", "mask_token": "[MASK]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps(config or {}))
    return folder


def judged(metric, reference, others, rows, *, folder, task, preprocess=None, batch_size=4):
    """The scores of models against a reference; of text unless another `preprocess` is given."""
    preprocess = preprocess or load_text(folder, task=task, inputs=reference.inputs)
    return evaluate(
        metric,
        reference,
        others,
        folder=folder,
        task=task,
        preprocess=preprocess,
        rows=rows,
        batch_size=batch_size,
    )


def sentences(count, *, longest=20, seed=0):
    """Texts of random words, (count,)."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size)) for size in random.integers(2, longest, count)]


def table(seed, *shape, scale=1.0):
    """Random numbers that a model looks up or multiplies by."""
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def noisy(weights, seed, size):
    """The same numbers with noise: a model that was compressed."""
    return weights + table(seed, *weights.shape, scale=size)
