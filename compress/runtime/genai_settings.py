"""`genai_config.json`, read by a list of what it may hold before ONNX Runtime GenAI sees it.

The runtime loads shared objects, plug-ins and files that this document names (`custom_ops_library`, provider
options, `add_library`), so what is not listed here is refused, and the runtime is given the document that
was validated, never the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from compress.core.config import Frozen
from compress.core.errors import CompressError
from compress.core.regular_files import MAX_CONFIG_BYTES, read_json
from compress.core.schema import validated
from compress.graph.cached import SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

Token = Annotated[int, Field(ge=-1, lt=2**24)]
Size = Annotated[int, Field(ge=1, le=2**20)]
Count = Annotated[int, Field(ge=0, le=2**27)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,64}$")]
TensorName = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_./:\-]*(%d)?[A-Za-z0-9_./:\-]*$")]
"""With one place for a layer's number: the runtime prints into it."""


class _Strict(Frozen):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid", frozen=True)


class SessionOptions(_Strict):
    """How ONNX Runtime runs the graph: on the CPU, with these threads."""

    log_id: Word | None = None
    provider_options: Annotated[tuple[()], Field(strict=False)] = ()
    intra_op_num_threads: Annotated[int, Field(ge=0, le=4096)] | None = None


class Inputs(_Strict):
    """The names of the graph's inputs."""

    input_ids: TensorName
    attention_mask: TensorName | None = None
    position_ids: TensorName | None = None
    past_key_names: TensorName | None = None
    past_value_names: TensorName | None = None
    past_conv_names: TensorName | None = None
    past_recurrent_names: TensorName | None = None


class Outputs(_Strict):
    """The names of the graph's outputs."""

    logits: TensorName
    present_key_names: TensorName | None = None
    present_value_names: TensorName | None = None
    present_conv_names: TensorName | None = None
    present_recurrent_names: TensorName | None = None


class SlidingWindow(_Strict):
    """How far back some layers look."""

    window_size: Count
    slide_key_value_cache: bool = False
    slide_inputs: bool = False
    layers: Annotated[list[Count], Field(max_length=4096)] | None = None
    cache_slack: Count | None = None


class Graph(_Strict):
    """The graph and the shape of its cache."""

    filename: Literal["model.onnx"] = "model.onnx"
    session_options: SessionOptions = SessionOptions()
    inputs: Inputs
    outputs: Outputs
    head_size: Size
    hidden_size: Size
    num_attention_heads: Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=4096)]
    num_key_value_heads: Size
    sliding_window: SlidingWindow | None = None
    layer_types: Annotated[list[Word], Field(max_length=4096)] | None = None
    conv_cache_size: Size | None = None


class Model(_Strict):
    """What every model has."""

    type: Word
    decoder: Graph
    vocab_size: Annotated[int, Field(ge=1, lt=2**24)]
    context_length: Annotated[int, Field(ge=1, le=2**27)]
    bos_token_id: Token | None = None
    eos_token_id: Token | Annotated[list[Token], Field(min_length=1, max_length=256)] | None = None
    pad_token_id: Token | None = None
    bot_token_id: Token | None = None
    eot_token_id: Token | None = None
    bor_token_id: Token | None = None
    eor_token_id: Token | None = None


class Search(_Strict):
    """How tokens are chosen where a caller does not say."""

    diversity_penalty: float | None = None
    do_sample: bool | None = None
    early_stopping: bool | None = None
    length_penalty: float | None = None
    max_length: Count | None = None
    min_length: Count | None = None
    no_repeat_ngram_size: Count | None = None
    num_beams: Annotated[int, Field(ge=1, le=1024)] | None = None
    num_return_sequences: Annotated[int, Field(ge=1, le=1024)] | None = None
    past_present_share_buffer: bool | None = None
    repetition_penalty: Annotated[float, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_k: Count | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None


class GenaiSettings(_Strict):
    """The whole of `genai_config.json` that a decoder of this tool has."""

    model: Model
    search: Search = Search()

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens that end a text."""
        ends = self.model.eos_token_id
        listed = ends if isinstance(ends, list) else [ends]
        return frozenset(token for token in listed if token is not None)

    @property
    def keeps_states(self) -> bool:
        """Whether some layer keeps a state of a short convolution or of linear attention."""
        decoder = self.model.decoder
        return decoder.inputs.past_recurrent_names is not None or "conv" in (decoder.layer_types or [])

    def document(self) -> dict[str, Any]:
        """The values that were written, and no others."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_genai_settings(folder: Path) -> GenaiSettings:
    """Read and validate the settings of a decoder's folder.

    Raises:
        CompressError: There are none (`artifact-missing`), or they hold something that is not listed here
            (`genai-settings`): a library, a plug-in, another file, a value of another kind.
    """
    path = folder / SETTINGS
    try:
        values = read_json(path, limit=MAX_CONFIG_BYTES, code="genai-settings")
    except FileNotFoundError:
        message = f"{folder} has no {SETTINGS}"
        raise CompressError("artifact-missing", message, hint="pass a decoder's folder") from None
    return validated(GenaiSettings, values, where=str(path), code="genai-settings")
