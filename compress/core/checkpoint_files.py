"""Schemas of the JSON files beside a checkpoint's weights: the keys that this tool or transformers interpret.

Whatever else a file holds is left out of the check; keys that are here and of another type make
transformers raise whatever it happens to meet first.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, RootModel

from compress.core.schema import Foreign

_MAX_NAME_BYTES = 255
"""What file systems take."""


def _file_name(name: str) -> str:
    if not name or name in (".", "..") or "\0" in name:
        raise ValueError("expected the name of a file")
    if len(name.encode("utf8", "surrogatepass")) > _MAX_NAME_BYTES or not name.isprintable():
        raise ValueError("expected a shorter name of plain characters")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]
TokenId = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""Llama 1 has -1 for no padding."""
TokenIds = TokenId | list[TokenId] | None
Number = int | float
Digits = Annotated[str, Field(pattern=r"^-?[0-9]{1,9}$")]
Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Ids(Foreign):
    pad_token_id: TokenIds = None
    bos_token_id: TokenIds = None
    eos_token_id: TokenIds = None
    decoder_start_token_id: TokenIds = None


class ConfigFile(_Ids):
    """`config.json`."""

    model_type: str | None = None
    architectures: list[str] | None = None
    auto_map: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None
    text_config: dict[str, Any] | None = None
    vision_config: dict[str, Any] | None = None
    audio_config: dict[str, Any] | None = None
    id2label: dict[Digits, Any] | None = None
    label2id: dict[str, Any] | None = None
    num_labels: Count | None = None
    problem_type: str | None = None
    hidden_act: str | None = None
    hidden_activation: str | None = None
    activation_function: str | None = None
    dtype: str | dict[str, Any] | None = None
    torch_dtype: str | dict[str, Any] | None = None
    tie_word_embeddings: bool | None = None
    is_encoder_decoder: bool | None = None
    is_decoder: bool | None = None
    layer_types: list[str] | None = None
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    max_position_embeddings: Number | None = None
    transformers_version: str | None = None


class GenerationFile(_Ids):
    """`generation_config.json`."""


class AddedToken(Foreign):
    """A token as transformers writes one that is no plain text."""

    content: str
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool | None = None
    single_word: bool = False
    special: bool = False


Token = str | AddedToken | None


class _Tokens(Foreign):
    pad_token: Token = None
    unk_token: Token = None
    bos_token: Token = None
    eos_token: Token = None
    cls_token: Token = None
    sep_token: Token = None
    mask_token: Token = None
    additional_special_tokens: list[str | AddedToken] | None = None


class TokenizerFile(_Tokens):
    """`tokenizer_config.json`."""

    tokenizer_class: str | None = None
    auto_map: dict[str, Any] | None = None
    added_tokens_decoder: dict[Digits, AddedToken] | None = None
    extra_special_tokens: dict[str, Any] | list[str | AddedToken] | None = None
    model_max_length: Number | None = None
    model_input_names: list[str] | None = None
    padding_side: Literal["left", "right"] | None = None
    truncation_side: Literal["left", "right"] | None = None
    do_lower_case: bool | None = None
    add_prefix_space: bool | None = None
    chat_template: str | list[dict[str, Any]] | dict[str, Any] | None = None


class SpecialTokensFile(_Tokens):
    """`special_tokens_map.json`."""


class AddedTokensFile(RootModel[dict[str, Count]]):
    """`added_tokens.json`."""


class VocabularyFile(RootModel[dict[str, Count] | dict[str, dict[str, Count]]]):
    """`vocab.json`: tokens to ids, or the same for each of several languages."""


class IndexFile(Foreign):
    """`model.safetensors.index.json`."""

    weight_map: dict[str, FileName]


class ModuleEntry(Foreign):
    """A module that `modules.json` lists."""

    idx: int | None = None
    name: str | None = None
    path: str | None = None
    type: str


class ModulesFile(RootModel[list[ModuleEntry]]):
    """`modules.json` of sentence-transformers."""


class PromptsFile(Foreign):
    """`config_sentence_transformers.json`."""

    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None


class SentenceFile(Foreign):
    """`sentence_bert_config.json`."""

    max_seq_length: Count | None = None
    do_lower_case: bool | None = None


Edge = Annotated[int, Field(gt=0, lt=2**31)]
"""A size in pixels. Some processors mean a number of pixels by it."""
Size = Edge | list[Edge] | dict[str, Edge | None] | None


class ProcessorFile(Foreign):
    """`preprocessor_config.json`, of images or of sound."""

    image_processor_type: str | None = None
    feature_extractor_type: str | None = None
    do_resize: bool | None = None
    do_center_crop: bool | None = None
    do_rescale: bool | None = None
    do_normalize: bool | None = None
    size: Size = None
    crop_size: Size = None
    resample: Annotated[int, Field(ge=0, le=5)] | None = None
    rescale_factor: Number | None = None
    image_mean: list[Number] | Number | None = None
    image_std: list[Number] | Number | None = None
    crop_pct: Number | None = None
    sampling_rate: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    feature_size: Annotated[int, Field(gt=0, le=4096)] | None = None
    hop_length: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    n_fft: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    chunk_length: Annotated[int, Field(gt=0, le=3600)] | None = None
    num_mel_bins: Annotated[int, Field(gt=0, le=4096)] | None = None
    max_length: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    padding_side: Literal["left", "right"] | None = None
    padding_value: Number | None = None
    return_attention_mask: bool | None = None
