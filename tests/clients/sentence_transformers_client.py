"""Embeddings by sentence-transformers from the folder as it stands, against a reference."""

import json
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

reference = json.loads(Path(sys.argv[2]).read_text(encoding="utf8"))
model = SentenceTransformer(sys.argv[1], backend="onnx", model_kwargs={"file_name": "model.onnx"})
found = np.asarray(model.encode(reference["texts"], batch_size=1))
expected = np.asarray(reference["vectors"])
norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
cosines = (found * expected).sum(1) / norms
for text, cosine in zip(reference["texts"], cosines, strict=True):
    print(f"{cosine:.6f} {text}")
sys.exit(0 if cosines.min() >= 0.999 else 1)
