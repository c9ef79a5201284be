"""Make a model smaller and prove, side by side, that it is still good."""

__version__ = "0.1.0"
