"""Training that makes good what other steps took away."""
