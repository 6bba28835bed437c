"""Save and load fitted models: JSON and plain arrays in a directory, never pickle."""

from scalekern.storage.directory import load, save
from scalekern.storage.registry import model_bytes, storable

__all__ = ["load", "model_bytes", "save", "storable"]
