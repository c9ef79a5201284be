from __future__ import annotations

import pytest

from compress.model.components import component_of


@pytest.mark.parametrize(
    ("component", "names"),
    [
        (
            "embedding",
            """
            bert.embeddings.word_embeddings.weight model.embed_tokens.weight
            transformer.wte.weight shared.weight deberta.encoder.rel_embeddings.weight
            vit.embeddings.cls_token embeddings.patch_embedding.weight
            encoder.embedding_hidden_mapping_in.weight encoder.pos_conv_embed.conv.bias
            """,
        ),
        (
            "attention",
            """
            encoder.layer.0.attention.self.query.weight
            encoder.layer.0.attention.output.dense.weight model.layers.1.self_attn.o_proj.weight
            transformer.h.0.attn.c_proj.weight
            encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
            model.layers.0.attn.Wqkv.weight decoder.layers.0.encoder_attn.out_proj.bias
            vit.encoder.layer.0.attention.attention.key.weight
            """,
        ),
        (
            "ffn",
            """
            encoder.layer.0.intermediate.dense.weight encoder.layer.0.output.dense.weight
            transformer.h.0.mlp.c_proj.weight model.layers.0.mlp.gate_proj.weight
            encoder.block.0.layer.1.DenseReluDense.wi.weight transformer.layer.0.ffn.lin1.weight
            encoder.layers.0.fc2.weight encoder.stages.0.layers.0.pwconv1.weight
            encoder.layers.0.feed_forward.output_dense.weight
            model.layers.0.mlp.experts.3.down_proj.weight
            """,
        ),
        (
            "head",
            """
            classifier.weight classifier.dense.weight lm_head.weight qa_outputs.bias
            pooler.dense.weight bert.pooler.dense.weight cls.predictions.transform.dense.weight
            pre_classifier.weight
            """,
        ),
        (
            "other",
            """
            encoder.layer.0.attention.output.LayerNorm.weight
            model.layers.0.post_attention_layernorm.weight model.layers.0.self_attn.q_norm.weight
            transformer.ln_f.weight bert.embeddings.LayerNorm.bias
            encoder.stages.0.layers.0.layer.0.convolution.weight pre_layrnorm.bias weight x
            """,
        ),
    ],
)
def test_names_of_many_architectures(component, names):
    assert {name: component_of(name) for name in names.split()} == dict.fromkeys(names.split(), component)
