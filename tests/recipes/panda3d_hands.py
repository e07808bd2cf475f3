"""Hands at the scene of Panda3D: ``python -m tests.recipes.panda3d_hands PLAY ADDRESS``."""

from __future__ import annotations

import sys
from typing import Any

import panda3d_scene
from panda3d.core import PNMImage, Point2, Point3, loadPrcFileData

from tests.recipes.play import begin

# Drawn by the processor, into memory.
loadPrcFileData("", "window-type offscreen\nload-display p3tinydisplay\naudio-library-name null\n")

BELLY_METRES = 1.0
"""Of a panda, above the ground."""
LAST = 60
"""The order of a task behind that which draws."""
CORNER_PIXELS = 100
"""The side of the corner where the text begins."""


class Hands:
    """At the scene's keyboard."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.visit = scene.visit

    def hold(self, button: int) -> None:
        self.scene.messenger.send(_key(button))

    def release(self, button: int) -> None:
        self.scene.messenger.send(f"{_key(button)}-up")

    def type(self, text: str) -> None:
        self.scene.messenger.send("enter")
        entry = self.scene.entry
        assert entry.guiItem.getFocus()
        entry.enterText(text)
        entry.commandFunc(None)
        assert entry.get() == ""

    def close(self) -> None:
        self.scene.userExit()

    def somebody_at(self, place: tuple[float, float]) -> bool:
        drawn = self._colour(Point3(*place, BELLY_METRES))
        return drawn not in (_rounded(panda3d_scene.GRASS), _rounded(panda3d_scene.SKY))

    def shows(self, line: str) -> bool:
        words = self.scene.words
        return line in words.getText().split("\n") and not words.isHidden() and self._is_written()

    def _picture(self) -> PNMImage:
        picture = PNMImage()
        assert self.scene.win.getScreenshot(picture)
        return picture

    def _colour(self, point: Point3) -> tuple[int, ...]:
        """Which colour is drawn where a point of the scene is."""
        scene, picture, flat = self.scene, self._picture(), Point2()
        assert scene.camLens.project(scene.cam.getRelativePoint(scene.render, point), flat)
        x = round((flat[0] + 1) / 2 * (picture.getXSize() - 1))
        y = round((1 - flat[1]) / 2 * (picture.getYSize() - 1))
        return _rounded(picture.getXel(x, y))

    def _is_written(self) -> bool:
        """Whether there is something of the text's colour in its corner."""
        picture, side = self._picture(), range(CORNER_PIXELS)
        white = _rounded(panda3d_scene.WORDS)
        return any(_rounded(picture.getXel(x, y)) == white for x in side for y in side)


class Scene(panda3d_scene.Scene):  # type: ignore[misc]
    """The recipe's, with hands at it once a frame is drawn."""

    def __init__(self, visit: Any) -> None:
        super().__init__(visit)
        self._play = begin(name, Hands(self), *arguments)
        self.taskMgr.add(self._step, "hands", sort=LAST)

    def _step(self, task: Any) -> Any:
        self._play.step()
        return task.cont


def _rounded(colour: Any) -> tuple[int, ...]:
    return tuple(round(part * 20) for part in tuple(colour)[:3])


def _key(button: int) -> str:
    return next(key for key, found in panda3d_scene.KEYS.items() if found == button)


name, *arguments = sys.argv[1:]
sys.argv[1:] = ["ada", arguments[0]]
panda3d_scene.Scene = Scene
panda3d_scene.main()
