"""Decoders' graphs by the model builder of ONNX Runtime GenAI, fed with our codes instead of weights.

The builder is asked for an fp32 graph. Where it writes a product or a look-up whose weight stands for rows
of quantized matrices, the packed codes of those rows are written instead; they are read when the graph is
saved, so that no more than one matrix is ever in memory. Why not the builder's own quantization: it uses no
calibration data, rounds after a whole fp32 graph was made, and ignores what a calibrated method chose.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch

from compress.core.errors import CompressError
from compress.decoder.ends import end_tokens
from compress.decoder.routed import Chosen, Experts, Routed, is_normalized
from compress.decoder.traced import THREADS, rotary_settings
from compress.graph.cached import SETTINGS
from compress.model.auto import auto_config

if TYPE_CHECKING:
    from pathlib import Path

    from compress.decoder.codes import Codes, Stored
    from compress.decoder.rows import RowNumbers, Source
    from compress.decoder.skeleton import Values

_BUILDERS = {
    "Ernie4_5ForCausalLM": ("ernie", "ErnieModel"),
    "GemmaForCausalLM": ("gemma", "GemmaModel"),
    "Gemma2ForCausalLM": ("gemma", "Gemma2Model"),
    "GptOssForCausalLM": ("gptoss", "GPTOSSModel"),
    "GraniteForCausalLM": ("granite", "GraniteModel"),
    "HunYuanDenseV1ForCausalLM": ("hunyuan", "HunyuanDenseV1Model"),
    "Lfm2ForCausalLM": ("lfm2", "LFM2Model"),
    "Lfm2MoeForCausalLM": ("lfm2", "LFM2MoEModel"),
    "LlamaForCausalLM": ("llama", "LlamaModel"),
    "MistralForCausalLM": ("mistral", "MistralModel"),
    "MixtralForCausalLM": ("mistral", "MistralModel"),
    "NemotronForCausalLM": ("nemotron", "NemotronModel"),
    "PhiForCausalLM": ("phi", "PhiModel"),
    "Phi3ForCausalLM": ("phi", "Phi3MiniModel"),
    "Qwen2ForCausalLM": ("qwen", "QwenModel"),
    "Qwen2MoeForCausalLM": ("qwen", "QwenModel"),
    "Qwen3ForCausalLM": ("qwen", "Qwen3Model"),
    "Qwen3_5ForCausalLM": ("qwen", "Qwen35TextModel"),
    "Qwen3_5MoeForCausalLM": ("qwen", "Qwen35MoETextModel"),
    "Qwen3MoeForCausalLM": ("qwen", "Qwen3Model"),
    "SmolLM3ForCausalLM": ("smollm", "SmolLM3Model"),
}
"""By architecture, where its builder is: of those that `builder.create_model` chooses among, the text
decoders whose graphs agree with transformers 5 (Olmo's and Gemma 3's do not, and are traced)."""


_RUN_AS = {
    "Lfm2MoeForCausalLM": "lfm2_moe",
    "MixtralForCausalLM": "MistralForCausalLM",
    "Qwen2MoeForCausalLM": "Qwen2ForCausalLM",
    "Qwen3MoeForCausalLM": "Qwen3ForCausalLM",
    "Qwen3_5ForCausalLM": "qwen3_5_text",
    "Qwen3_5MoeForCausalLM": "qwen3_5_moe_text",
}
"""By architecture, the one that is like it but for its experts, or the runtime's own name, where the runtime
does not know the architecture's."""


def is_built(config: dict[str, Any]) -> bool:
    """Whether the builder knows the architecture of a `config.json`, and the runtime its attention."""
    rope = rotary_settings(config)
    share = rope.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1
    heads = config.get("num_attention_heads") or 1
    width = config.get("head_dim") or config.get("hidden_size", 0) // heads
    fits = width % _HEAD_WIDTH == 0 and int(width * share) % _HEAD_WIDTH == 0
    known = (config.get("architectures") or [""])[0] in _BUILDERS
    return known and fits and rope.get("rope_type", "default") in _ROTATIONS


_HEAD_WIDTH = 16
"""Kernels of grouped attention that rotate positions take heads of which a multiple of this is rotated."""

_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Scalings of positions that need one table, whatever the length of a text."""


class Feed:
    """What a builder is fed with: the module whose parameters are stand-ins (or weights), and codes."""

    def __init__(
        self,
        module: torch.nn.Module,
        rows: RowNumbers | None = None,
        codes: Codes | None = None,
        values: Values | None = None,
    ) -> None:
        self.module = module
        self.experts = Experts(module, values)
        self._rows = rows
        self._codes = codes

    @property
    def is_quantized(self) -> bool:
        """Whether there are codes."""
        return self._codes is not None

    def sources(self, weight: torch.Tensor) -> tuple[Source, ...]:
        """The rows of quantized matrices that a weight stands for; none for plain numbers."""
        return () if self._rows is None else self._rows.sources(weight.detach().numpy())

    def stored(self, model: Any, sources: tuple[Source, ...], hint: str) -> Stored:
        """The codes of those rows among the graph's constants."""
        assert self._codes is not None
        return self._codes.stored(model, sources, hint)

    def alike(self, weights: list[torch.Tensor]) -> bool:
        """Whether weights may be joined: all plain, or all in the same blocks."""
        sources = [self.sources(weight) for weight in weights]
        if not all(sources):
            return not any(sources)
        assert self._codes is not None
        return len({self._codes.form(one.name) for group in sources for one in group}) == 1


def build(folder: Path, feed: Feed, target: Path, *, accuracy_level: int) -> ir.Model:
    """The graph of the checkpoint in `folder`, with its `genai_config.json` written into `target`.

    Raises:
        CompressError: the builder cannot make this model.
    """
    config = auto_config(folder)
    if config.eos_token_id is None:
        config.eos_token_id = end_tokens(folder)
    architecture = config.architectures[0]
    name = _RUN_AS.get(architecture, architecture)
    if name.startswith("qwen3_5"):
        config.rope_parameters.setdefault("mrope_section", _thirds(config))
    # A cache of the window alone would have to be filled before the first token.
    options = {
        "shared_embeddings": bool(config.tie_word_embeddings),
        "windowed_kv_cache": False,
        "fuse_mlp_gate_up": feed.is_quantized,
    }
    try:
        with contextlib.redirect_stdout(sys.stderr), torch.no_grad():
            kind = _fed(architecture)
            maker = kind(config, ir.DataType.FLOAT, ir.DataType.FLOAT, "cpu", str(target / ".cache"), options)
            maker.feed, maker.experts, maker.accuracy_level = feed, feed.experts, accuracy_level
            maker.model_type = name
            maker.every_layer_local = _every_layer_local(config)
            maker.moe_attrs["normalize_routing_weights"] = is_normalized(config)
            maker.make_model(str(folder))
            maker.make_genai_config(config, {}, str(target))
            _add_threads(target / SETTINGS)
    except CompressError:
        raise
    except Exception as error:  # the builder raises whatever it meets
        reason = " ".join(str(error).split())[:300]
        message = f"ONNX Runtime GenAI's builder fails on {architecture}: {type(error).__name__}: {reason}"
        raise CompressError("export-failed", message, hint="run with --debug and report it") from error
    graph: ir.Model = maker.model
    graph.graph.sort()
    return graph


def _thirds(config: Any) -> list[int]:
    """Rotated pairs of channels by positions in time, height and width, where a configuration does not part
    them: in texts the three are one.
    """
    pairs = int(config.head_dim * config.rope_parameters.get("partial_rotary_factor", 1)) // 2
    return [pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]


def _every_layer_local(config: Any) -> bool:
    """Whether all layers look back a window's length, as Mistral's and Phi-3's do, whose configurations do
    not list layers: the builder takes those for full ones.
    """
    listed = getattr(config, "layer_types", None) is not None
    return not listed and bool(getattr(config, "sliding_window", None))


def _add_threads(settings: Path) -> None:
    written = json.loads(settings.read_text(encoding="utf8"))
    written["model"]["decoder"]["session_options"].update(THREADS)
    settings.write_text(json.dumps(written, indent=4), encoding="utf8")


def _fed(architecture: str) -> Any:
    module, name = _BUILDERS[architecture]
    base = getattr(importlib.import_module(f"onnxruntime_genai.models.builders.{module}"), name)
    routed = Chosen if hasattr(base, "make_moe_router_scores") else Routed
    return type(f"Fed{name}", (_Fed, routed, base), {})


class _Fed:
    """Mixed into a builder: the methods by which it reads weights and writes products and look-ups."""

    feed: Feed
    accuracy_level: int
    every_layer_local: bool

    def is_local(self: Any, layer_id: int) -> bool:
        return bool(self.every_layer_local or super().is_local(layer_id))  # type: ignore[misc]

    def load_weights(self, input_path: str) -> torch.nn.Module:
        del input_path
        return self.feed.module

    def make_inputs_and_outputs(self: Any) -> None:
        # The width of a cache is symbolic there, so that quantized caches fit; ours is known.
        for shapes in (self.input_shapes, self.output_shapes):
            for name, shape in shapes.items():
                if shape and shape[-1] == "kv_cache_dim":
                    shapes[name] = [*shape[:-1], self.head_size]
        super().make_inputs_and_outputs()  # type: ignore[misc]

    def is_qkv_projection_packable(self: Any, layer_id: int, attention: Any) -> bool:
        weights = [attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]
        packable: bool = super().is_qkv_projection_packable(layer_id, attention)  # type: ignore[misc]
        return packable and self.feed.alike(weights)

    def make_mlp_proj_fused(self: Any, layer_id: int, mlp: Any, root_input: str) -> None:
        # One product instead of two: 4% less time for a token of SmolLM2-135M.
        weights = [getattr(mlp, name).weight for name in ("gate_proj", "up_proj") if hasattr(mlp, name)]
        width = weights[0].shape[0] if weights else 0
        shapes = [tuple(weight.shape) for weight in weights]
        if shapes != [(width, self.hidden_size)] * 2 or not self.feed.alike(weights):
            self.make_mlp_proj(layer_id, mlp, root_input)
            return
        whole, self.intermediate_size = self.intermediate_size, width  # pruned layers may have their own
        try:
            super().make_mlp_proj_fused(layer_id, mlp, root_input)  # type: ignore[misc]
        finally:
            self.intermediate_size = whole

    def make_matmul(self: Any, matmul: Any, basename: str, root_input: str, **kwargs: Any) -> str:
        sources = self.feed.sources(matmul.weight)
        if not sources:
            return str(super().make_matmul(matmul, basename, root_input, **kwargs))  # type: ignore[misc]
        stored = self.feed.stored(self, sources, basename[1:].replace("/", "."))
        rows, columns = matmul.weight.shape
        output = "logits" if kwargs.get("logits", False) else f"{basename}/output_0"
        self.make_node(
            "MatMulNBits",
            inputs=[root_input, *stored.inputs],
            outputs=[output],
            name=basename,
            domain="com.microsoft",
            accuracy_level=self.accuracy_level,
            bits=stored.bits,
            block_size=stored.block_size,
            K=columns,
            N=rows,
        )
        shape = self.make_hidden_state_shape(seq_dim=kwargs.get("seq_dim", "sequence_length"), last_dim=rows)
        self.make_value(output, self.io_dtype, shape=shape)
        return basename

    def make_embedding_lookup(self: Any, embedding: torch.Tensor, basename: str, lm_head: Any) -> str:
        sources = self.feed.sources(embedding)
        if not sources:
            return str(super().make_embedding_lookup(embedding, basename, lm_head))  # type: ignore[misc]
        stored = self.feed.stored(self, sources, basename[1:].replace("/", "."))
        rows, columns = embedding.shape
        width = -(-columns // stored.block_size) * stored.block_size
        bytes_a_row = width * stored.bits // 8
        flat = f"{basename}/Reshape"
        shape = f"/model/constants/INT64/[{rows}, {bytes_a_row}]"
        self.make_reshape(flat, [stored.inputs[0], shape], dtype=ir.DataType.UINT8, shape=[rows, bytes_a_row])
        name = f"{basename}/GatherBlockQuantized"
        self.make_node(
            "GatherBlockQuantized",
            inputs=[f"{flat}/output_0", self.input_names["input_ids"], *stored.inputs[1:]],
            outputs=[f"{name}/output_0"],
            name=name,
            domain="com.microsoft",
            bits=stored.bits,
            block_size=stored.block_size,
            gather_axis=0,
            quantize_axis=1,
        )
        self.make_value(f"{name}/output_0", self.io_dtype, shape=self.make_hidden_state_shape(last_dim=width))
        return f"{name}/output_0" if width == columns else self._cut(basename, f"{name}/output_0", columns)

    def _cut(self: Any, basename: str, rows: str, columns: int) -> str:
        """Rows without the padding of their last block."""
        name = f"{basename}/Slice"
        limits = [f"/model/constants/INT64/[{value}]" for value in (0, columns, -1)]
        self.make_slice(name, [rows, *limits], dtype=self.io_dtype, shape=self.make_hidden_state_shape())
        return f"{name}/output_0"
