"""One metric a file: size, latency, accuracy, fidelity."""
