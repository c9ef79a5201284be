"""Text models whose numbers of positions do not begin at 0."""

OFFSET_TYPES = frozenset(
    (
        "camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm",
        "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    )
)  # fmt: skip
"""Models that number positions from `pad_token_id + 1`, so that their table has that many rows less
to give (Liu et al. 2019 kept fairseq's numbering)."""
