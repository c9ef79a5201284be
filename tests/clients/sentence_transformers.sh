#!/usr/bin/env bash
# The artifact in sentence-transformers' ONNX backend, against compress.load.
set -euo pipefail
artifact=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python "$here/reference.py" "$artifact" > "$work/reference.json"
python -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet 'torch>=2.10,<2.14' 'sentence-transformers[onnx]>=5,<6'
HF_HUB_OFFLINE=1 "$work/venv/bin/python" "$here/sentence_transformers_client.py" "$artifact" "$work/reference.json"
