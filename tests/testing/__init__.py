"""The test kit, tested: ``gamenet.testing``."""
