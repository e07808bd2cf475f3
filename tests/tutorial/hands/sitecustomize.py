"""
Hands and eyes for a window without a screen.

Python imports this by itself where the folder is on ``PYTHONPATH``, so that a program runs as it is
written, by the command that people type. A thread then does to its window what it is told over the
socket at ``TUTORIAL_HANDS``: it posts the events that a keyboard makes, and looks at what is drawn.
One JSON object a line each way.
"""

import json
import os
import socket
import sys
import threading
import time

PAUSE_SECONDS = 0.02


def wait_for_window():
    """The window's surface, once the program has opened it."""
    while True:
        pygame = sys.modules.get("pygame")
        display = getattr(pygame, "display", None)
        surface = display and display.get_init() and display.get_surface()
        if surface:
            return surface
        time.sleep(PAUSE_SECONDS)


def press(key):
    import pygame

    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key)))


def release(key):
    import pygame

    pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.key.key_code(key)))


def type_text(text):
    """A line, and the Enter key."""
    import pygame

    for character in text:
        pygame.event.post(pygame.event.Event(pygame.TEXTINPUT, text=character))
    press("return")
    release("return")


def close():
    import pygame

    pygame.event.post(pygame.event.Event(pygame.QUIT))


def square(colour):
    """The middle of the largest patch of a colour on the screen, or None; the program may be in
    the middle of drawing, so one may have to look again."""
    import pygame

    # Of a copy: while the screen itself is read it is locked, and the program could not draw.
    picture = pygame.display.get_surface().copy()
    mask = pygame.mask.from_threshold(picture, pygame.Color(colour), (1, 1, 1, 255))
    patch = mask.connected_component()
    return patch.centroid() if patch.count() > 100 else None


def save(path):
    """What is drawn, as a picture."""
    import pygame

    pygame.image.save(pygame.display.get_surface().copy(), path)


def variable(name):
    """What the program has under a name, as text."""
    return repr(getattr(sys.modules["__main__"], name, None))


DEEDS = {deed.__name__: deed for deed in (press, release, type_text, close, save, square, variable)}


def obey(where):
    wait_for_window()
    host, _, port = where.rpartition(":")
    with socket.create_connection((host, int(port))) as line, line.makefile("rw") as stream:
        stream.write(json.dumps(sys.argv) + "\n")
        stream.flush()
        for order in stream:
            deed, *arguments = json.loads(order)
            stream.write(json.dumps(DEEDS[deed](*arguments)) + "\n")
            stream.flush()


if "TUTORIAL_HANDS" in os.environ:
    threading.Thread(target=obey, args=[os.environ["TUTORIAL_HANDS"]], daemon=True).start()
