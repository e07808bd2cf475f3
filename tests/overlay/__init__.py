"""Tests of gamenet.overlay."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
