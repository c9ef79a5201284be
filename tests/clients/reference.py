"""Embeddings of a few texts by `compress.load`, as JSON: what the other tools are compared with."""

import json
import sys

import compress

TEXTS = [
    "A man is playing a guitar.",
    "Small models on modest machines keep the technology open to all.",
    "Der Hund schläft.",
    "Quantization maps weights to a grid; calibration chooses it.",
]

# One at a time: with dynamic ranges an answer depends a little on what shares its batch.
model = compress.load(sys.argv[1])
json.dump({"texts": TEXTS, "vectors": [model.encode(text).tolist() for text in TEXTS]}, sys.stdout)
