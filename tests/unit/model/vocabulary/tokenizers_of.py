"""Small trained tokenizers of every kind that can be cut, as documents."""

from __future__ import annotations

import json

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "the quick brown fox jumps over the lazy dog and then the other dogs jump over the foxes",
    "models that are smaller answer faster, and people who wait less are happier people",
    "tokenization of unhappiness and happiness; internationalization, nationality, nations",
    "Größe und Maß über alle Straßen — naïve café, señor; 12345 67890 1234 5678",
] * 3
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece(size=220):
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = sorted(set("".join(CORPUS).lower()))
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=letters)
    core.train_from_iterator(CORPUS, trainer)
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return core


def byte_bpe(size=420):
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|end|>", "<|pad|>"]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    core.train_from_iterator(CORPUS, trainer)
    core.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False)])
    return core


def suffix_bpe(size=300):
    """As CLIP has it: the last piece of a word is marked."""
    core = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, end_of_word_suffix="</w>")
    core.train_from_iterator(CORPUS, trainer)
    return core


def prefix_bpe(size=300):
    """With pieces of a word's inside marked."""
    core = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, continuing_subword_prefix="##")
    core.train_from_iterator(CORPUS, trainer)
    return core


def sentencepiece_bpe(size=560):
    """As Llama 2 has it: bytes stand in for characters without a piece, words begin with U+2581."""
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size - 259, special_tokens=["<unk>", "<s>", "</s>"])
    plain.train_from_iterator(CORPUS, trainer)
    document = json.loads(plain.to_str())
    order = sorted(document["model"]["vocab"], key=document["model"]["vocab"].get)
    pieces = [*order[:3], *(f"<0x{byte:02X}>" for byte in range(256)), *order[3:]]
    document["model"] |= {
        "vocab": {piece: at for at, piece in enumerate(pieces)},
        "byte_fallback": True,
        "unk_token": "<unk>",
        "fuse_unk": True,
    }
    document["decoder"] = None
    return Tokenizer.from_str(json.dumps(document))


def unigram(size=180):
    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    core.train_from_iterator(CORPUS, trainer)
    core.add_special_tokens(["<mask>"])
    core.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return core


KINDS = {
    "WordPiece": wordpiece,
    "byte-level BPE": byte_bpe,
    "BPE with suffix": suffix_bpe,
    "BPE with prefix": prefix_bpe,
    "BPE with bytes": sentencepiece_bpe,
    "Unigram": unigram,
}
