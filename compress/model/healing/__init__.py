"""Distillation: a changed module learns from the original what it answered before."""
