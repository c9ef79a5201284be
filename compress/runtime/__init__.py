"""Use an artifact: text, images or sound in, answers out, on onnxruntime and tokenizers alone."""
