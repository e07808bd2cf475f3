"""A display that nobody sees: what is on it, and keys that are pressed on it."""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Self

import pygame

# Of the file in which Xvfb keeps what is on the screen: XWDFileHeader, in the order of the network.
_HEADER: Final = struct.Struct("!25I")
_COLOUR_BYTES: Final = 12
_COOKIE: Final = b"MIT-MAGIC-COOKIE-1"
_ANY_FAMILY: Final = 0xFFFF


class Screen:
    """A display of its own, gone after a ``with`` block.

    Only who knows its key may open windows there: others who look for a display may find this one.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._folder = tempfile.TemporaryDirectory()
        self.name = ""
        """As in ``DISPLAY``."""
        self._key = Path(self._folder.name, "key")
        self._key.write_bytes(_key_file())

    def __enter__(self) -> Self:
        tells, told = os.pipe()
        wide, high = self._size
        self._process = subprocess.Popen(
            [
                "Xvfb", "-displayfd", str(told), "-screen", "0", f"{wide}x{high}x24",
                "-fbdir", self._folder.name, "-nolisten", "tcp", "-auth", str(self._key),
            ],
            pass_fds=(told,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(told)
        with os.fdopen(tells) as number:
            self.name = f":{number.readline().strip()}"
        if self.name == ":":
            self.__exit__()
            raise AssertionError("Xvfb did not start")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to open windows there."""
        return {"DISPLAY": self.name, "XAUTHORITY": str(self._key)}

    def picture(self) -> pygame.Surface:
        """What is on it now."""
        data = Path(self._folder.name, "Xvfb_screen0").read_bytes()
        header = _HEADER.unpack_from(data)
        size, wide, high, bits, line = header[0], header[4], header[5], header[11], header[12]
        assert (bits, line) == (32, 4 * wide), "the display has other pixels than expected"
        start = size + _COLOUR_BYTES * header[19]
        pixels = data[start : start + line * high]
        return pygame.image.frombuffer(pixels, (wide, high), "BGRA").convert(24)

    def press(self, *keys: str) -> None:
        """Press keys one after another, by the names that X has for them."""
        self._type("key", "--delay", "60", *keys)

    def write(self, text: str) -> None:
        """Type a text."""
        self._type("type", "--delay", "40", text)

    def hold(self, key: str) -> None:
        """Press a key, and keep it down."""
        self._type("keydown", key)

    def let_go(self, key: str) -> None:
        """No longer keep it down."""
        self._type("keyup", key)

    def _type(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env={**os.environ, **self.environment}, check=True)


def _key_file() -> bytes:
    """A key as Xau has it: family, address, number, name and data, each with its length."""
    parts = (b"", b"", _COOKIE, os.urandom(16))
    return struct.pack("!H", _ANY_FAMILY) + b"".join(
        struct.pack("!H", len(part)) + part for part in parts
    )
