#!/usr/bin/env bash
# The artifact in transformers.js under Node, against compress.load.
set -euo pipefail
artifact=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python "$here/reference.py" "$artifact" > "$work/reference.json"
cp "$here/transformers.mjs" "$work/"
cd "$work"
npm init -y > /dev/null
ONNXRUNTIME_NODE_INSTALL=skip npm install --silent @huggingface/transformers
node transformers.mjs "$artifact" reference.json
