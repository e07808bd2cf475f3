"""The one place that states the version. Layer L0; any thread."""

__version__ = "0.1.0"
