"""The names of the files beside weights that programs read; whatever else lies in a model's folder stays.

Taken from transformers 5 (the `vocab_files_names` of its tokenizers, its processors and chat templates),
sentence-transformers 6 and transformers.js. Files that a runtime obeys are not among them: this tool writes
its own `genai_config.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

TOKENIZER = frozenset({
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.txt", "vocab.json", "merges.txt", "bpe.codes", "dict.txt",
    "spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "tokenizer.model", "spm.model",
    "spm_char.model", "source.spm", "target.spm", "target_vocab.json", "vocab-src.json", "vocab-tgt.json",
    "tiktoken.model", "tekken.json", "prophetnet.tokenizer", "entity_vocab.json", "emoji.json",
    "normalizer.json", "byte_maps.json", "word_shape.json", "word_pronunciation.json",
})  # fmt: skip

CHAT = frozenset({"chat_template.jinja", "chat_template.json"})
MORE_TEMPLATES = "additional_chat_templates"

CONFIGURATIONS = frozenset({
    "config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json",
})  # fmt: skip

SENTENCES = frozenset({
    "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json",
    "sentence_roberta_config.json", "sentence_distilbert_config.json", "sentence_camembert_config.json",
    "sentence_albert_config.json", "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json",
})  # fmt: skip

MODULES = TOKENIZER | SENTENCES | {"config.json", "model.safetensors"}
"""In the folders that modules.json names; small weights there belong to the pooling."""

WORDS = frozenset({
    "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt", "NOTICE.md", "USE_POLICY.md",
})  # fmt: skip
"""What people read."""

WIDTHS = "widths.json"
"""What this tool writes beside a checkpoint whose layers differ in width."""

BESIDE_WEIGHTS = TOKENIZER | CHAT | CONFIGURATIONS | SENTENCES | WORDS | {WIDTHS}


def is_sidecar(name: Path, *, modules: Collection[str]) -> bool:
    """Tell whether a file belongs to a model.

    Args:
        name: Its path in the model's folder.
        modules: The folders that modules.json names.

    Returns:
        Whether its name is one that programs read at that place.
    """
    if len(name.parts) == 1:
        return name.name in BESIDE_WEIGHTS
    if name.parts[0] == MORE_TEMPLATES:
        return len(name.parts) == 2 and name.suffix == ".jinja"
    return name.parts[0] in modules and name.name in MODULES
