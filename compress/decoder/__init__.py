"""Graphs of decoders with KV cache, as ONNX Runtime GenAI reads them."""
