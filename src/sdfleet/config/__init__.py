"""The one file a user edits, as a model: `load(path)`. Never in the Lambda package (pydantic's cold start)."""

from sdfleet.config.loading import load
from sdfleet.config.model import Config, InputsConfig, RuntimeConfig

__all__ = ["Config", "InputsConfig", "RuntimeConfig", "load"]
