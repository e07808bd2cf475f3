"""Keyboard and gamepads: the buttons that are held, and what a press means in a menu.

Layer 4. Runs on: the game thread. Needs pygame-ce.

Everything goes by events, so a gamepad may come and go, and a key that was held when the window
lost the keyboard is let go.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import pygame

from gamenet.demo.field import DOWN, LEFT, RIGHT, UP

KEYS: Final = {
    pygame.K_UP: UP,
    pygame.K_w: UP,
    pygame.K_DOWN: DOWN,
    pygame.K_s: DOWN,
    pygame.K_LEFT: LEFT,
    pygame.K_a: LEFT,
    pygame.K_RIGHT: RIGHT,
    pygame.K_d: RIGHT,
}
DEAD_ZONE: Final = 0.5
"""How far a stick must be pushed, 0 to 1."""
_PAD_ARROWS: Final = {11: UP, 12: DOWN, 13: LEFT, 14: RIGHT}
"""Gamepads whose directional pad is four buttons number them so."""
_PAD_CONFIRM: Final = 0
_PAD_BACK: Final = frozenset({1, 6, 7})


class Action(Enum):
    """What a press means in a menu."""

    UP = auto()
    DOWN = auto()
    CONFIRM = auto()
    BACK = auto()


_ACTION_KEYS: Final = {
    pygame.K_UP: Action.UP,
    pygame.K_DOWN: Action.DOWN,
    pygame.K_RETURN: Action.CONFIRM,
    pygame.K_KP_ENTER: Action.CONFIRM,
    pygame.K_ESCAPE: Action.BACK,
}
_ACTION_ARROWS: Final = {UP: Action.UP, DOWN: Action.DOWN}


class _Pad:
    """What of one gamepad is held, from each of its parts."""

    def __init__(self) -> None:
        self.stick = self.hat = self.arrows = 0

    @property
    def buttons(self) -> int:
        return self.stick | self.hat | self.arrows


class Controls:
    """All keyboards and gamepads as one."""

    def __init__(self) -> None:
        self._keys: set[int] = set()
        """All that are down, also those that mean nothing."""
        self._pads: dict[int, _Pad] = {}
        self._joysticks: dict[int, pygame.joystick.JoystickType] = {}

    @property
    def buttons(self) -> int:
        """The buttons of the field that are held now."""
        held = 0
        for key in self._keys:
            held |= KEYS.get(key, 0)
        for pad in self._pads.values():
            held |= pad.buttons
        return held

    def release(self) -> None:
        """Let go of everything, whatever the fingers do."""
        self._keys.clear()
        self._pads.clear()

    def handle(self, event: pygame.event.Event) -> Action | None:
        """Take in an event.

        :returns: what it means in a menu, if anything.
        """
        if event.type == pygame.KEYDOWN:
            # A key that is held is told again and again, for who is typing.
            is_new = event.key not in self._keys
            self._keys.add(event.key)
            return _ACTION_KEYS.get(event.key) if is_new else None
        if event.type == pygame.KEYUP:
            self._keys.discard(event.key)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self.release()
        elif event.type == pygame.JOYDEVICEADDED:
            self._plugged_in(event.device_index)
        elif event.type == pygame.JOYDEVICEREMOVED:
            self._joysticks.pop(event.instance_id, None)
            self._pads.pop(event.instance_id, None)
        elif event.type in _OF_A_PAD:
            return self._moved(event)
        return None

    def _plugged_in(self, index: int) -> None:
        try:
            joystick = pygame.joystick.Joystick(index)
        except pygame.error:
            return  # gone again, or one that SDL cannot read: there is still the keyboard
        # Kept, because one that is forgotten sends no events.
        self._joysticks[joystick.get_instance_id()] = joystick

    def _moved(self, event: pygame.event.Event) -> Action | None:
        pad = self._pads.setdefault(event.instance_id, _Pad())
        before = pad.buttons
        if event.type == pygame.JOYAXISMOTION:
            pad.stick = _pushed(pad.stick, event.axis, event.value)
        elif event.type == pygame.JOYHATMOTION:
            right, up = event.value
            pad.hat = _pair(right, LEFT, RIGHT) | _pair(up, DOWN, UP)
        elif event.button in _PAD_ARROWS:
            arrow = _PAD_ARROWS[event.button]
            is_down = event.type == pygame.JOYBUTTONDOWN
            pad.arrows = pad.arrows | arrow if is_down else pad.arrows & ~arrow
        elif event.type == pygame.JOYBUTTONDOWN:
            if event.button == _PAD_CONFIRM:
                return Action.CONFIRM
            return Action.BACK if event.button in _PAD_BACK else None
        return _ACTION_ARROWS.get(pad.buttons & ~before)


_OF_A_PAD: Final = frozenset(
    {pygame.JOYAXISMOTION, pygame.JOYHATMOTION, pygame.JOYBUTTONDOWN, pygame.JOYBUTTONUP}
)


def _pair(value: float, below: int, above: int) -> int:
    return above if value > DEAD_ZONE else below if value < -DEAD_ZONE else 0


def _pushed(held: int, axis: int, value: float) -> int:
    """What a stick holds once one of its axes has moved; the second stick is not looked at."""
    if axis == 0:
        return held & ~(LEFT | RIGHT) | _pair(value, LEFT, RIGHT)
    if axis == 1:
        return held & ~(UP | DOWN) | _pair(value, UP, DOWN)
    return held
