"""Tiny random models of many architectures, each a complete folder as a user would have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXT = (
    "the quick brown fox jumps over a lazy dog . models are far too big for what people use them for , "
    "so make them small and prove that they are good ! why not ? 0 1 2 3 4 5 6 7 8 9"
)

TEXT_SIZES = dict(
    vocab_size=160, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
    max_position_embeddings=80,
)  # fmt: skip
_DECODER = {**TEXT_SIZES, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_GPT = dict(vocab_size=160, n_embd=32, n_layer=2, n_head=4, n_positions=80, bos_token_id=2, eos_token_id=3)
_T5 = dict(vocab_size=160, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
BART = dict(
    vocab_size=160, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
    decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=80,
    pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
)  # fmt: skip
_VIT = dict(
    image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=64, num_channels=3,
)  # fmt: skip
_WAV = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, vocab_size=20,
    conv_dim=(16, 16, 16), conv_stride=(5, 4, 4), conv_kernel=(10, 8, 8), num_feat_extract_layers=3,
    num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, classifier_proj_size=32,
    do_stable_layer_norm=False,
)  # fmt: skip
_WHISPER = dict(
    d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4,
    encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=80, max_source_positions=1500, vocab_size=160,
    pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
)  # fmt: skip

WIDE = {**_DECODER, "hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "hidden_act": "silu"}
"""Wide enough for the kernels of grouped attention, whose heads are multiples of 16."""

EXPERTS = {"moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2}

_LATENT = {
    **EXPERTS, "n_routed_experts": 8, "n_shared_experts": 1, "n_group": 2, "topk_group": 1,
    "first_k_dense_replace": 1, "num_key_value_heads": 4, "head_dim": 8, "kv_lora_rank": 16,
    "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
}  # fmt: skip
"""DeepSeek's attention, whose keys and values are made from a narrow vector, and its choice of experts."""

_SHARED = {
    **WIDE, "num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2,
    "sliding_window": 16, "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": 160,
    "num_kv_shared_layers": 2,
}  # fmt: skip
"""The later half of the layers uses what the earlier keeps; each is given an embedding of its own."""

_MAMBA = {
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 2, "mamba_d_state": 8, "mamba_d_conv": 4,
    "mamba_expand": 2, "mamba_chunk_size": 16,
}  # fmt: skip
"""Mamba 2: states of another width than heads, two groups of them."""

_LINEAR = {
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 16,
    "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4,
    "rope_parameters": {
        "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25,
        "mrope_section": [3, 3, 2], "mrope_interleaved": True,
    },
}  # fmt: skip
"""Gated delta rules in most layers, a quarter of the others' heads rotated by positions in time and space."""

CACHED: dict[str, tuple[str, dict[str, Any], str]] = {
    # By ONNX Runtime GenAI's builder: grouped queries, tied and untied, q/k norms, offset norms, biases.
    "llama-wide": ("LlamaForCausalLM", WIDE, "text-generation"),
    "llama-heads": ("LlamaForCausalLM", {**WIDE, "num_key_value_heads": 4}, "text-generation"),
    "llama-tied": ("LlamaForCausalLM", {**WIDE, "tie_word_embeddings": True}, "text-generation"),
    "qwen2": ("Qwen2ForCausalLM", {**WIDE, "tie_word_embeddings": True}, "text-generation"),
    "qwen3-wide": ("Qwen3ForCausalLM", WIDE, "text-generation"),
    "mistral": ("MistralForCausalLM", {**WIDE, "sliding_window": 16}, "text-generation"),
    "gemma": ("GemmaForCausalLM", WIDE, "text-generation"),
    "gemma2-wide": ("Gemma2ForCausalLM", {**WIDE, "sliding_window": 16}, "text-generation"),
    "gemma3-wide": ("Gemma3ForCausalLM", {**WIDE, "sliding_window": 16}, "text-generation"),
    "phi3-wide": (
        "Phi3ForCausalLM",
        {**WIDE, "original_max_position_embeddings": 80, "sliding_window": 16},
        "text-generation",
    ),
    "phi": ("PhiForCausalLM", {**WIDE, "partial_rotary_factor": 1.0}, "text-generation"),
    "granite": ("GraniteForCausalLM", WIDE, "text-generation"),
    "smollm3": ("SmolLM3ForCausalLM", WIDE, "text-generation"),
    "olmo": ("OlmoForCausalLM", WIDE, "text-generation"),
    "nemotron": ("NemotronForCausalLM", {**WIDE, "partial_rotary_factor": 1.0}, "text-generation"),
    "qwen3.5": (
        "Qwen3_5ForCausalLM",
        {**WIDE, **_LINEAR, "head_dim": 64, "layer_types": ["linear_attention", "full_attention"]},
        "text-generation",
    ),
    "ernie": ("Ernie4_5ForCausalLM", WIDE, "text-generation"),
    "hunyuan": ("HunYuanDenseV1ForCausalLM", WIDE, "text-generation"),
    "lfm2": (
        "Lfm2ForCausalLM",
        {**WIDE, "layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
        "text-generation",
    ),
    "lfm2-moe": (
        "Lfm2MoeForCausalLM",
        {
            **WIDE,
            **EXPERTS,
            "layer_types": ["conv", "full_attention", "conv"],
            "num_hidden_layers": 3,
            "num_dense_layers": 1,
            "routed_scaling_factor": 1.5,
        },
        "text-generation",
    ),
    # Experts: with and without normalized scores, a shared one, a layer without.
    "qwen3-moe-wide": ("Qwen3MoeForCausalLM", {**WIDE, **EXPERTS}, "text-generation"),
    "qwen2-moe": (
        "Qwen2MoeForCausalLM",
        {**WIDE, **EXPERTS, "shared_expert_intermediate_size": 48, "mlp_only_layers": [1]},
        "text-generation",
    ),
    "mixtral": ("MixtralForCausalLM", {**WIDE, **EXPERTS, "num_local_experts": 8}, "text-generation"),
    # By torch's exporter.
    "phi3-long": (
        "Phi3ForCausalLM",
        {
            **WIDE,
            "original_max_position_embeddings": 40,
            "rope_scaling": {
                "rope_type": "longrope",
                "short_factor": [1.0] * 8,
                "long_factor": [2.0] * 8,
                "rope_theta": 10000.0,
            },
        },
        "text-generation",
    ),
    # Experts chosen otherwise than by Mixtral's builder: groups, a sigmoid and a bias, a factor; heads of 8.
    "deepseek-v3": ("DeepseekV3ForCausalLM", {**WIDE, **_LATENT}, "text-generation"),
    "deepseek-v2": (
        "DeepseekV2ForCausalLM",
        {**WIDE, **_LATENT, "topk_method": "greedy"},
        "text-generation",
    ),
    "olmoe": ("OlmoeForCausalLM", {**WIDE, **EXPERTS}, "text-generation"),
    "granite-moe": (
        "GraniteMoeForCausalLM",
        {**WIDE, **EXPERTS, "num_local_experts": 8},
        "text-generation",
    ),
    "jamba": (
        "JambaForCausalLM",
        {
            **WIDE,
            "num_experts": 1,
            "use_mamba_kernels": False,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
        },
        "text-generation",
    ),
    # States of Mamba 2 in some layers, beside keys and values in all, beside layers that keep nothing; of
    # gated delta rules, with experts in all layers.
    "granite-hybrid": (
        "GraniteMoeHybridForCausalLM",
        {
            **WIDE,
            **_MAMBA,
            "num_hidden_layers": 3,
            "layer_types": ["mamba", "attention", "mamba"],
            "num_local_experts": 0,
            "shared_intermediate_size": 96,
        },
        "text-generation",
    ),
    "falcon-h1": ("FalconH1ForCausalLM", {**WIDE, **_MAMBA, "mamba_d_ssm": 128}, "text-generation"),
    "nemotron-h": (
        "NemotronHForCausalLM",
        {
            **WIDE,
            "num_hidden_layers": 3,
            "layers_block_type": ["mamba", "mlp", "attention"],
            "mamba_num_heads": 8,
            "mamba_head_dim": 16,
            "n_groups": 2,
            "ssm_state_size": 8,
            "chunk_size": 16,
            "mlp_hidden_act": "relu2",
        },
        "text-generation",
    ),
    "qwen3-next": (
        "Qwen3NextForCausalLM",
        {
            **WIDE,
            **_LINEAR,
            **EXPERTS,
            "layer_types": ["linear_attention", "full_attention"],
            "shared_expert_intermediate_size": 32,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.25},
        },
        "text-generation",
    ),
    # Layers that use what others keep, and several hidden states of each token.
    "gemma3n": (
        "Gemma3nForCausalLM",
        {
            **_SHARED,
            "activation_sparsity_pattern": [0.0] * 4,
            "intermediate_size": [96] * 4,
            "laurel_rank": 8,
        },
        "text-generation",
    ),
    "gemma4-e": ("Gemma4ForCausalLM", _SHARED, "text-generation"),
    # Experts with biases and limited gates, held transposed; attention sinks.
    "gpt-oss": (
        "GptOssForCausalLM",
        {**WIDE, **EXPERTS, "num_local_experts": 8, "sliding_window": 16, "head_dim": 16},
        "text-generation",
    ),
    "gpt-oss-narrow": (
        "GptOssForCausalLM",
        {**WIDE, **EXPERTS, "num_local_experts": 8, "sliding_window": 16, "head_dim": 8},
        "text-generation",
    ),
    # Experts that are called with scaled tokens, all of them with all.
    "llama4": (
        "Llama4ForCausalLM",
        {**WIDE, **EXPERTS, "num_local_experts": 8, "intermediate_size_mlp": 96, "attention_chunk_size": 16},
        "text-generation",
    ),
    "bloom": (
        "BloomForCausalLM",
        dict(vocab_size=160, hidden_size=32, n_layer=2, n_head=4),
        "text-generation",
    ),
    "falcon": (
        "FalconForCausalLM",
        dict(vocab_size=160, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=False),
        "text-generation",
    ),
}
"""Decoders that are exported with a cache, beside some of the others."""

ARCHITECTURES: dict[str, tuple[str, dict[str, Any], str]] = {
    # name: (class, configuration, task)
    "bert": ("BertModel", TEXT_SIZES, "feature-extraction"),
    "bert-classifier": ("BertForSequenceClassification", TEXT_SIZES, "text-classification"),
    "bert-tokens": ("BertForTokenClassification", {**TEXT_SIZES, "num_labels": 5}, "token-classification"),
    "bert-answers": ("BertForQuestionAnswering", TEXT_SIZES, "question-answering"),
    "bert-mask": ("BertForMaskedLM", TEXT_SIZES, "fill-mask"),
    "distilbert": (
        "DistilBertForSequenceClassification",
        dict(vocab_size=160, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=80),
        "text-classification",
    ),
    "roberta": ("RobertaModel", {**TEXT_SIZES, "pad_token_id": 0}, "feature-extraction"),
    "xlm-roberta": ("XLMRobertaModel", {**TEXT_SIZES, "pad_token_id": 0}, "feature-extraction"),
    "mpnet": ("MPNetModel", {**TEXT_SIZES, "pad_token_id": 0}, "feature-extraction"),
    "electra": (
        "ElectraForSequenceClassification",
        {**TEXT_SIZES, "embedding_size": 16},
        "text-classification",
    ),
    "albert": ("AlbertModel", {**TEXT_SIZES, "embedding_size": 16}, "feature-extraction"),
    "deberta-v2": (
        "DebertaV2ForSequenceClassification",
        {
            **TEXT_SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
        },
        "text-classification",
    ),
    "modernbert": (
        "ModernBertForMaskedLM",
        {**TEXT_SIZES, "pad_token_id": 0, "local_attention": 16, "global_attn_every_n_layers": 2},
        "fill-mask",
    ),
    "gpt2": ("GPT2LMHeadModel", _GPT, "text-generation"),
    "llama": ("LlamaForCausalLM", _DECODER, "text-generation"),
    "qwen3": ("Qwen3ForCausalLM", {**_DECODER, "head_dim": 8}, "text-generation"),
    "gemma3": (
        "Gemma3ForCausalLM",
        {
            **_DECODER,
            "head_dim": 8,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        "text-generation",
    ),
    "t5-encoder": ("T5EncoderModel", _T5, "feature-extraction"),
    "bart-encoder": ("BartModel", BART, "feature-extraction"),
    "bart-classifier": ("BartForSequenceClassification", BART, "text-classification"),
    "vit": ("ViTForImageClassification", {**_VIT, "num_labels": 10}, "image-classification"),
    "deit": ("DeiTForImageClassification", {**_VIT, "num_labels": 10}, "image-classification"),
    "swin": (
        "SwinForImageClassification",
        dict(
            image_size=32,
            patch_size=4,
            embed_dim=16,
            depths=[1, 1],
            num_heads=[2, 2],
            window_size=4,
            num_labels=10,
        ),
        "image-classification",
    ),
    "convnext": (
        "ConvNextForImageClassification",
        dict(hidden_sizes=[16, 32], depths=[1, 1], num_stages=2, num_labels=10),
        "image-classification",
    ),
    "resnet": (
        "ResNetForImageClassification",
        dict(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=10),
        "image-classification",
    ),
    "clip-vision": ("CLIPVisionModel", _VIT, "feature-extraction"),
    "wav2vec2": ("Wav2Vec2ForCTC", {**_WAV, "pad_token_id": 0}, "automatic-speech-recognition"),
    "wav2vec2-classifier": ("Wav2Vec2ForSequenceClassification", _WAV, "audio-classification"),
    "whisper-encoder": ("WhisperModel", _WHISPER, "feature-extraction"),
}

DECODERS: dict[str, tuple[str, dict[str, Any], str]] = {
    # Those whose weights are quantized by blocks besides; the command line is not run on each.
    "qwen3-moe": (
        "Qwen3MoeForCausalLM",
        {**_DECODER, "head_dim": 8, "moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2},
        "text-generation",
    ),
    "phi3": ("Phi3ForCausalLM", _DECODER, "text-generation"),
    "gemma2": ("Gemma2ForCausalLM", {**_DECODER, "head_dim": 8, "sliding_window": 16}, "text-generation"),
    "gpt-neox": ("GPTNeoXForCausalLM", TEXT_SIZES, "text-generation"),
    "opt": (
        "OPTForCausalLM",
        dict(
            vocab_size=160,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=64,
            max_position_embeddings=80,
            word_embed_proj_dim=32,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
        ),
        "text-generation",
    ),
}

KINDS = {
    "vit": "image", "deit": "image", "swin": "image", "convnext": "image", "resnet": "image",
    "clip-vision": "image", "wav2vec2": "sound", "wav2vec2-classifier": "sound",
    "whisper-encoder": "features",
}  # fmt: skip


def build(name: str, folder: Path, *, seed: int = 0) -> str:
    """Write the model `name` with its tokenizer or processor into `folder`; returns its task."""
    import torch
    import transformers

    (found,) = [models[name] for models in (ARCHITECTURES, DECODERS, CACHED) if name in models]
    kind, values, task = found
    torch.manual_seed(seed)
    architecture = getattr(transformers, kind)
    model = architecture(architecture.config_class(**values))
    spread(model, seed)
    model.eval().save_pretrained(folder)
    {"image": image_processor, "sound": sound_processor, "features": feature_processor}.get(
        KINDS.get(name, ""), tokenizer
    )(folder)
    if name == "wav2vec2":
        _letters(folder)
    return task


def spread(model: Any, seed: int) -> None:
    """Larger weights than an initialisation's, so that answers differ between items as a trained
    model's do; norms vary by channel, so that no fold may forget them, and biases are not 0, buffers that
    checkpoints hold (which experts to prefer) among them."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2:
                fan_in = parameter[0].numel()
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * (1.0 if "embed" in name.lower() else fan_in**-0.5))
            elif "norm" in name.lower() and "weight" in name:
                parameter.mul_(0.5 + torch.rand(parameter.shape, generator=generator))
        for name, tensor in model.state_dict().items():
            if "bias" in name.rpartition(".")[2] and tensor.ndim == 1 and tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.2)


def tokenizer(folder: Path) -> None:
    """A small WordPiece tokenizer in which every word of the text is a piece, and every letter."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {piece: at for at, piece in enumerate(_pieces())}
    core = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip


def _pieces() -> list[str]:
    """At most 160, listed and not trained: a trainer's ties fall otherwise in each process, and with them
    what a model reads.
    """
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "!',-.0123456789?abcdefghijklmnopqrstuvwxyz"
    inside = [f"##{letter}" for letter in letters if letter.isalpha()]
    words = [word for word in TEXT.split() if len(word) > 1]
    halves = [piece for word in words if len(word) > 4 for piece in (word[:2], f"##{word[2:]}")]
    return list(dict.fromkeys([*special, *letters, *inside, *words, *halves]))


def image_processor(folder: Path) -> None:
    """32 x 32 pixels, normalised as ViT's processor does."""
    _processor(folder, {
        "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 32, "width": 32},
        "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    })  # fmt: skip


def sound_processor(folder: Path) -> None:
    """Waveforms at 16 kHz with zero mean and unit variance."""
    _processor(folder, {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": True, "feature_size": 1,
        "padding_side": "right", "padding_value": 0.0, "return_attention_mask": False,
        "sampling_rate": 16000,
    })  # fmt: skip


def feature_processor(folder: Path) -> None:
    """Whisper's log-mel spectrogram of 30 seconds."""
    _processor(folder, {
        "feature_extractor_type": "WhisperFeatureExtractor", "chunk_length": 30, "feature_size": 80,
        "hop_length": 160, "n_fft": 400, "n_samples": 480000, "nb_max_frames": 3000,
        "padding_side": "right", "padding_value": 0.0, "return_attention_mask": False,
        "sampling_rate": 16000,
    })  # fmt: skip


def _processor(folder: Path, values: dict[str, Any]) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(values), encoding="utf8")


def _letters(folder: Path) -> None:
    """The vocabulary of a CTC head: a blank, a word delimiter and letters."""
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"etaonihsrdlucmf"]
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Wav2Vec2CTCTokenizer", "pad_token": "<pad>", "unk_token": "<unk>",
                    "bos_token": "<s>", "eos_token": "</s>", "word_delimiter_token": "|"}),
        encoding="utf8",
    )  # fmt: skip
