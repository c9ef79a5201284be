"""Small tokenizers of several families, as transformers saves them."""

from __future__ import annotations

import json

from tokenizers import ByteLevelBPETokenizer, Tokenizer, models, trainers
from tokenizers import pre_tokenizers as pre

from compress.data.sample import sample_texts


def unigram() -> list[tuple[str, float]]:
    """Pieces of a Unigram model with their log probabilities."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(sample_texts()[:200], trainer)
    return [tuple(piece) for piece in json.loads(tokenizer.to_str())["model"]["vocab"]]


def byte_level() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The vocabulary and the merges of a byte-level BPE."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        sample_texts()[:200], vocab_size=500, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    )
    model = json.loads(tokenizer._tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def word_pieces() -> dict[str, int]:
    """The vocabulary of a cased WordPiece."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        sample_texts()[:200], trainers.WordPieceTrainer(vocab_size=500, special_tokens=special)
    )
    return json.loads(tokenizer.to_str())["model"]["vocab"]
