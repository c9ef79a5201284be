"""An artifact that is ready to answer. Neither torch nor transformers is imported here."""

from compress.runtime.load import LoadedModel, load

__all__ = ["LoadedModel", "load"]
