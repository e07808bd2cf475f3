"""The recipes whose engines are too large for ``make test``."""

from __future__ import annotations

import unittest
from typing import ClassVar

from tests.recipes.stage import WindowCases


class ArcadeTests(WindowCases, unittest.TestCase):
    engine = "arcade"
    recipe = "arcade_window.py"
    package = "arcade"
    told = "This needs arcade: pip install arcade"
    headless: ClassVar = {"ARCADE_HEADLESS": "True"}


class Panda3DTests(WindowCases, unittest.TestCase):
    engine = "panda3d"
    recipe = "panda3d_scene.py"
    package = "direct"
    told = "This needs Panda3D: pip install panda3d"
