"""ONNX graphs: read, check, fuse, write, run. Nothing here imports torch."""
