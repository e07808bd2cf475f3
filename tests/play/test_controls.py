"""Keys and gamepads, by the events that pygame makes of them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo.field import DOWN, LEFT, RIGHT, UP
from tests.play import theatre  # noqa: F401 - which says how pygame is to be loaded

import pygame  # isort: skip

from gamenet.play.controls import Action, Controls


def event(kind: int, **details: Any) -> pygame.event.Event:
    return pygame.event.Event(kind, **details)


class KeyTests(SynchronousTestCase):
    """The keyboard."""

    def test_arrows_and_letters_steer_while_they_are_held(self) -> None:
        for keys in (
            (pygame.K_UP, pygame.K_DOWN, pygame.K_LEFT, pygame.K_RIGHT),
            (pygame.K_w, pygame.K_s, pygame.K_a, pygame.K_d),
        ):
            controls = Controls()
            for key, button in zip(keys, (UP, DOWN, LEFT, RIGHT), strict=True):
                controls.handle(event(pygame.KEYDOWN, key=key, mod=0))
                self.assertEqual(controls.buttons, button)
                controls.handle(event(pygame.KEYUP, key=key, mod=0))
                self.assertEqual(controls.buttons, 0)

    def test_two_keys_of_a_direction_are_one(self) -> None:
        controls = Controls()
        for key in (pygame.K_UP, pygame.K_w, pygame.K_d):
            controls.handle(event(pygame.KEYDOWN, key=key, mod=0))
        self.assertEqual(controls.buttons, UP | RIGHT)
        controls.handle(event(pygame.KEYUP, key=pygame.K_UP, mod=0))
        self.assertEqual(controls.buttons, UP | RIGHT)

    def test_a_window_without_the_keyboard_lets_go(self) -> None:
        controls = Controls()
        controls.handle(event(pygame.KEYDOWN, key=pygame.K_a, mod=0))
        controls.handle(event(pygame.JOYAXISMOTION, instance_id=0, axis=0, value=1.0))
        controls.handle(event(pygame.WINDOWFOCUSLOST))
        self.assertEqual(controls.buttons, 0)

    def test_a_held_key_acts_once(self) -> None:
        controls = Controls()
        down = event(pygame.KEYDOWN, key=pygame.K_RETURN, mod=0)
        self.assertEqual([controls.handle(down) for _ in range(3)], [Action.CONFIRM, None, None])
        controls.handle(event(pygame.KEYUP, key=pygame.K_RETURN, mod=0))
        self.assertEqual(controls.handle(down), Action.CONFIRM)


class PadTests(SynchronousTestCase):
    """Gamepads."""

    def test_the_stick_steers_beyond_its_middle(self) -> None:
        controls = Controls()
        for axis, value, buttons in (
            (0, 0.3, 0),
            (0, 0.9, RIGHT),
            (1, -0.9, RIGHT | UP),
            (0, -0.9, LEFT | UP),
            (0, 0.0, UP),
            (2, 1.0, UP),
            (1, 0.1, 0),
        ):
            controls.handle(event(pygame.JOYAXISMOTION, instance_id=0, axis=axis, value=value))
            self.assertEqual(controls.buttons, buttons)

    def test_the_directional_pad_steers_whatever_it_is_made_of(self) -> None:
        controls = Controls()
        controls.handle(event(pygame.JOYHATMOTION, instance_id=0, hat=0, value=(-1, 1)))
        self.assertEqual(controls.buttons, LEFT | UP)
        controls.handle(event(pygame.JOYHATMOTION, instance_id=0, hat=0, value=(0, 0)))
        controls.handle(event(pygame.JOYBUTTONDOWN, instance_id=0, button=12))
        self.assertEqual(controls.buttons, DOWN)
        controls.handle(event(pygame.JOYBUTTONUP, instance_id=0, button=12))
        self.assertEqual(controls.buttons, 0)

    def test_one_that_is_pulled_out_lets_go_and_the_other_stays(self) -> None:
        controls = Controls()
        for pad, value in ((1, 1.0), (2, -1.0)):
            controls.handle(event(pygame.JOYAXISMOTION, instance_id=pad, axis=1, value=value))
        controls.handle(event(pygame.JOYDEVICEREMOVED, instance_id=1))
        self.assertEqual(controls.buttons, UP)

    def test_one_that_is_gone_before_it_is_opened_does_no_harm(self) -> None:
        pygame.joystick.init()
        self.addCleanup(pygame.joystick.quit)
        controls = Controls()
        self.assertIsNone(controls.handle(event(pygame.JOYDEVICEADDED, device_index=99)))

    def test_in_a_menu_it_moves_confirms_and_goes_back(self) -> None:
        controls = Controls()
        said = [
            controls.handle(event(kind, instance_id=0, **details))
            for kind, details in (
                (pygame.JOYHATMOTION, {"hat": 0, "value": (0, -1)}),
                (pygame.JOYHATMOTION, {"hat": 0, "value": (0, 0)}),
                (pygame.JOYAXISMOTION, {"axis": 1, "value": -1.0}),
                (pygame.JOYAXISMOTION, {"axis": 1, "value": -0.9}),
                (pygame.JOYBUTTONDOWN, {"button": 0}),
                (pygame.JOYBUTTONUP, {"button": 0}),
                (pygame.JOYBUTTONDOWN, {"button": 1}),
                (pygame.JOYBUTTONDOWN, {"button": 3}),
            )
        ]
        self.assertEqual(
            said,
            [Action.DOWN, None, Action.UP, None, Action.CONFIRM, None, Action.BACK, None],
        )
