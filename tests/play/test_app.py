"""The window: opened with as little as there is, and closed whatever happens."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import LocalProtocolError
from tests.play.theatre import PLAYED, Theatre

import pygame  # isort: skip

from gamenet.play import app
from gamenet.play.app import PlayError, Window, close_window, open_window
from gamenet.play.closing import Closing


class WindowTests(SynchronousTestCase):
    """What a machine may lack."""

    def setUp(self) -> None:
        self.addCleanup(close_window)

    def test_it_opens_without_sound(self) -> None:
        surface = open_window(Window((640, 360)))
        self.assertEqual(surface.get_size(), (640, 360))
        self.assertIsNone(pygame.mixer.get_init())

    def test_no_display_is_one_sentence(self) -> None:
        def none(*size: Any) -> Any:
            raise pygame.error("No available video device")

        self.patch(pygame.display, "set_mode", none)
        error = self.assertRaises(PlayError, open_window, Window())
        self.assertIn("no window can be opened here (No available video device)", str(error))
        self.assertFalse(pygame.display.get_init())

    def test_a_display_that_nobody_sees_is_none_unless_it_was_asked_for(self) -> None:
        self.patch(pygame.display, "get_driver", lambda: "offscreen")
        error = self.assertRaises(PlayError, open_window, Window())
        self.assertIn("there is no display", str(error))

    def test_no_gamepads_are_no_reason_to_stay_closed(self) -> None:
        def none() -> None:
            raise pygame.error("no joystick support")

        self.patch(pygame.joystick, "init", none)
        open_window(Window((640, 360)))

    def test_closing_it_twice_is_no_error(self) -> None:
        open_window(Window((640, 360)))
        close_window()
        close_window()


class LoopTests(SynchronousTestCase):
    """The loop ends, and the window is gone before anything is waited for."""

    def run_app(self, theatre: Theatre, interrupted: Any = lambda: False) -> list[tuple[str, bool]]:
        """What is ended, in order, and whether there was a window then."""
        ended: list[tuple[str, bool]] = []
        real = theatre.app._closing

        class Watched:
            def begin(self, stop: Any) -> None:
                ended.append(("stop", pygame.display.get_init()))
                real.begin(stop)

            def wait(self, seconds: float) -> None:
                ended.append(("wait", pygame.display.get_init()))

        theatre.app._closing = Watched()  # type: ignore[assignment]
        theatre.app.run(interrupted)
        return ended

    def test_the_button_of_the_window_closes_it_on_every_screen(self) -> None:
        def join(theatre: Theatre) -> None:
            theatre.app.to_join(PLAYED, at_once=True)

        def suspend(theatre: Theatre) -> None:
            scene = theatre.play()
            theatre.simulation.network.cut_tcp()
            theatre.until(lambda: scene.world.suspended)

        for prepare in (lambda theatre: None, join, Theatre.play, suspend):
            with Theatre() as theatre:
                prepare(theatre)
                theatre._waiting.append(pygame.event.Event(pygame.QUIT))
                ended = self.run_app(theatre)
                self.assertEqual({what for what, _ in ended}, {"stop", "wait"})
                self.assertEqual([there for _, there in ended], [False] * len(ended))
                self.assertEqual(theatre.hosting.stops, 1)

    def test_an_interrupt_closes_it_without_another_frame(self) -> None:
        with Theatre() as theatre:
            theatre.app.frame = lambda: self.fail("a frame was drawn")  # type: ignore[method-assign]
            self.run_app(theatre, interrupted=lambda: True)

    def test_a_mistake_of_ours_closes_it_as_well(self) -> None:
        with Theatre() as theatre:

            def frame() -> None:
                raise ZeroDivisionError

            theatre.app.frame = frame  # type: ignore[method-assign]
            self.assertRaises(ZeroDivisionError, theatre.app.run, lambda: False)
            self.assertFalse(pygame.display.get_init())
            self.assertEqual(theatre.hosting.stops, 1)

    def test_f11_asks_for_the_whole_screen_and_takes_no_for_an_answer(self) -> None:
        asked = []

        def toggle() -> None:
            asked.append(True)
            raise pygame.error("not with this driver")

        self.patch(pygame.display, "toggle_fullscreen", toggle)
        with Theatre() as theatre:
            theatre.press(pygame.K_F11)
            self.assertEqual(asked, [True])

    def test_what_pygame_thinks_of_a_new_window_is_not_for_the_terminal(self) -> None:
        def toggle() -> None:
            warnings.warn("re-creating window in toggle_fullscreen", Warning, stacklevel=1)

        self.patch(pygame.display, "toggle_fullscreen", toggle)
        with warnings.catch_warnings(record=True) as said, Theatre() as theatre:
            warnings.simplefilter("always")
            theatre.press(pygame.K_F11)
        self.assertEqual(said, [])

    def test_what_is_said_at_the_terminal_is_one_line(self) -> None:
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            app.App.tell(None, "Nobody is there.")  # type: ignore[arg-type]
        self.assertEqual(err.getvalue(), "gamenet play: Nobody is there.\n")

    def test_the_game_goes_on_though_nobody_reads_the_terminal(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w", encoding="utf-8", closefd=False) as gone:
            with contextlib.redirect_stderr(gone), Theatre("bob") as theatre:
                del theatre.app.tell
                scene = theatre.play()
            with contextlib.suppress(BrokenPipeError):
                gone.close()
        os.close(writer)
        self.assertTrue(scene.world.own)


class ClosingTests(SynchronousTestCase):
    """Ends that take a while."""

    def test_they_are_waited_for(self) -> None:
        closing, done = Closing(), []
        closing.begin(lambda: done.append(True))
        closing.wait(60.0)
        self.assertEqual(done, [True])

    def test_but_not_forever(self) -> None:
        closing, never = Closing(), threading.Event()
        self.addCleanup(never.set)
        closing.begin(never.wait)
        closing.wait(0.01)
        self.assertTrue(closing._threads[0].is_alive())

    def test_one_that_is_not_done_in_time_is_left_alone(self) -> None:
        def stop() -> None:
            raise LocalProtocolError("did not stop within 1 s; it goes on stopping by itself")

        closing = Closing()
        closing.begin(stop)
        closing.wait(60.0)

    def test_without_a_thread_nothing_is_waited_for(self) -> None:
        def start(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(threading.Thread, "start", start)
        closing = Closing()
        closing.begin(lambda: self.fail("called on the thread that draws"))
        closing.wait(60.0)
