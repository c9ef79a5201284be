"""What the JSON files beside a model may hold, of the keys that are read here.

Keys that are not listed are not read. Numbers have bounds that no model in use comes near, so that a damaged
file is one line and neither an allocation of terabytes nor a division by zero.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from compress.core.paths import MANIFEST
from compress.core.schema import Foreign

Token = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Length = Annotated[int, Field(ge=-(2**40), le=2**40)]
Real = Annotated[float, Field(ge=-1e30, le=1e30)]
Name = Annotated[str, Field(max_length=1000)]
ClassNumber = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Edge = Annotated[int, Field(ge=1, le=2048)]
"""Of a picture, in pixels."""


class TextConfig(Foreign):
    """The part of a configuration that speaks of text."""

    model_type: Name | None = None
    pad_token_id: Token | None = None
    max_position_embeddings: Length | None = None
    n_positions: Length | None = None
    max_seq_len: Length | None = None
    n_ctx: Length | None = None
    vocab_size: Length | None = None


class ModelConfig(TextConfig):
    """`config.json` of a model."""

    architectures: list[Name] | None = None
    problem_type: Name | None = None
    id2label: dict[ClassNumber, str | int | float | None] | None = None
    decoder_start_token_id: Token | None = None
    text_config: TextConfig | None = None


class GenerationConfig(Foreign):
    """`generation_config.json`."""

    eos_token_id: Token | list[Token] | None = None
    bos_token_id: Token | list[Token] | None = None
    pad_token_id: Token | None = None


class AddedToken(Foreign):
    """A special token with its rules."""

    content: Name


class SpecialTokens(Foreign):
    """`special_tokens_map.json`, and the same keys of `tokenizer_config.json`."""

    bos_token: Name | AddedToken | None = None
    eos_token: Name | AddedToken | None = None
    unk_token: Name | AddedToken | None = None
    sep_token: Name | AddedToken | None = None
    pad_token: Name | AddedToken | None = None
    cls_token: Name | AddedToken | None = None
    mask_token: Name | AddedToken | None = None
    extra_special_tokens: dict[Name, Any] | list[Any] | None = None


class NamedTemplate(Foreign):
    """One of several chat templates."""

    name: Name
    template: str


class TokenizerConfig(SpecialTokens):
    """`tokenizer_config.json`."""

    tokenizer_class: Name | None = None
    model_max_length: Real | None = None
    padding_side: Name | None = None
    truncation_side: Name | None = None
    word_delimiter_token: Name | AddedToken | None = None
    replace_word_delimiter_char: Name | None = None
    target_lang: Name | None = None
    do_lower_case: bool | None = None
    added_tokens_decoder: dict[str, Any] | None = None
    chat_template: str | list[NamedTemplate] | dict[Name, str] | None = None


class Vocabulary(RootModel[dict[str, Token] | dict[str, dict[str, Token]]]):
    """`vocab.json`: the numbers of tokens, or those of each language."""

    model_config = ConfigDict(strict=True, frozen=True)


class SentenceConfig(Foreign):
    """`sentence_bert_config.json`."""

    max_seq_length: Length | None = None
    do_lower_case: bool | None = None


class SentenceTransformersConfig(Foreign):
    """`config_sentence_transformers.json`."""

    prompts: dict[Name, str | None] | None = None
    default_prompt_name: Name | None = None
    truncate_dim: Annotated[int, Field(ge=1, le=2**20)] | None = None


class Rectangle(Foreign):
    """Both edges of a picture."""

    height: Edge
    width: Edge


class Size(Foreign):
    """The edges of a picture."""

    height: Edge | None = None
    width: Edge | None = None
    shortest_edge: Edge | None = None
    longest_edge: Edge | None = None


Channels = (
    Annotated[list[Real], Field(min_length=1, max_length=1)]
    | Annotated[list[Real], Field(min_length=3, max_length=3)]
)
"""Of a grey picture, or of one in colour."""

PictureSize = Edge | Annotated[list[Edge], Field(min_length=2, max_length=2)] | Size | Name
"""One edge, [height, width], named edges, or a word, which no processor knows."""


class Processor(Foreign):
    """What a processor of pictures or sound does, of all kinds that are supported."""

    image_processor_type: Name | None = None
    feature_extractor_type: Name | None = None
    do_resize: bool | None = None
    size: PictureSize | None = None
    resample: Annotated[int, Field(ge=0, le=5)] | None = None
    do_center_crop: bool | None = None
    crop_size: Edge | Annotated[list[Edge], Field(min_length=2, max_length=2)] | Rectangle | None = None
    crop_pct: Annotated[float, Field(ge=0.5, le=1)] | None = None
    do_rescale: bool | None = None
    rescale_factor: Real | None = None
    rescale_offset: bool | None = None
    do_normalize: bool | None = None
    image_mean: Real | Channels | None = None
    image_std: Real | Channels | None = None
    include_top: bool | None = None
    do_flip_channel_order: bool | None = None
    sampling_rate: Annotated[int, Field(ge=1000, le=192_000)] | None = None
    padding_value: Real | None = None
    return_attention_mask: bool | None = None
    feature_size: Annotated[int, Field(ge=1, le=512)] | None = None
    num_mel_bins: Annotated[int, Field(ge=1, le=512)] | None = None
    n_fft: Annotated[int, Field(ge=2, le=2048)] | None = None
    hop_length: Annotated[int, Field(ge=1, le=16_384)] | None = None
    chunk_length: Annotated[int, Field(ge=1, le=120)] | None = None
    max_length: Annotated[int, Field(ge=1, le=20_000)] | None = None
    stride: Annotated[int, Field(ge=1, le=64)] | None = None
    mean: Real | None = None
    std: Real | None = None

    @model_validator(mode="after")
    def _few_frames(self) -> Processor:
        """Refuse a window of sound that becomes more frames than memory holds."""
        samples = (self.chunk_length or 1) * (self.sampling_rate or 16_000)
        if self.hop_length is not None and samples / self.hop_length > _MOST_FRAMES:
            raise ValueError(f"more than {_MOST_FRAMES:,} frames of hop_length in chunk_length")
        return self


_MOST_FRAMES = 20_000
"""Whisper's 30 s are 3,000."""


class JointProcessor(Foreign):
    """`processor_config.json`."""

    image_processor: Processor | None = None
    feature_extractor: Processor | None = None


class PoolingConfig(Foreign):
    """`config.json` of a Pooling module."""

    pooling_mode: Name | Annotated[list[Name], Field(max_length=16)] | None = None
    pooling_mode_cls_token: bool | None = None
    pooling_mode_max_tokens: bool | None = None
    pooling_mode_mean_tokens: bool | None = None
    pooling_mode_mean_sqrt_len_tokens: bool | None = None
    pooling_mode_weightedmean_tokens: bool | None = None
    pooling_mode_lasttoken: bool | None = None
    include_prompt: bool | None = None


class LayerConfig(Foreign):
    """`config.json` of a Dense, LayerNorm or Normalize module."""

    activation_function: Name | None = None
    use_residual: bool | None = None
    module_input_name: Name | None = None
    module_output_name: Name | None = None


class Module(Foreign):
    """An entry of `modules.json`."""

    idx: Annotated[int, Field(ge=0, le=1000)] = 0
    type: Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]
    path: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\\]*$")] = ""


class SourceFacts(Foreign):
    """Where the model of an artifact came from."""

    ref: Name | None = None
    revision: Name | None = None
    digest: Name | None = None


class RecipeName(Foreign):
    """The recipe of an artifact."""

    name: Name | None = None


class FileDigest(Foreign):
    """One of an artifact's files."""

    sha256: Name


class ArtifactFacts(Foreign):
    """`compress.json`, of which `compress.pipeline.manifest` checks all."""

    task: Name | None = None
    runtime: Name | None = None
    created: Name | None = None
    digest: Name | None = None
    source: SourceFacts | None = None
    recipe: RecipeName | None = None
    files: dict[Name, FileDigest] | None = None
    versions: dict[Name, Name] | None = None


SCHEMAS: dict[str, type[BaseModel]] = {
    "config.json": ModelConfig,
    "generation_config.json": GenerationConfig,
    "tokenizer_config.json": TokenizerConfig,
    "special_tokens_map.json": SpecialTokens,
    "vocab.json": Vocabulary,
    "sentence_bert_config.json": SentenceConfig,
    "config_sentence_transformers.json": SentenceTransformersConfig,
    "preprocessor_config.json": Processor,
    "processor_config.json": JointProcessor,
    MANIFEST: ArtifactFacts,
}
"""By the name of a file that lies beside a model."""
