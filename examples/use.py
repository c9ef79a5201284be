"""Search a few texts with an artifact: `python use.py ARTIFACT "a question"`."""

import sys

import numpy as np

import compress

TEXTS = [
    "The accuracy gate compares the upper bound of the drop with the budget.",
    "A missed budget ends with exit code 1 and publishes nothing.",
    "Bread rises because yeast makes gas.",
]

embedder = compress.load(sys.argv[1])
texts, question = embedder.encode(TEXTS), embedder.encode(sys.argv[2])
similarities = texts @ question / np.linalg.norm(texts, axis=1) / np.linalg.norm(question)
for index in np.argsort(-similarities):
    print(f"{similarities[index]:.3f} {TEXTS[index]}")
