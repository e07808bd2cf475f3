"""Where flight records are written: a folder in which only we write, or none.

Layer 4. Runs on: the reactor thread.

A record is a new file that only its owner can read. It is opened within the folder that was looked
at, and never through a link.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gamenet.errors import ConfigError, GamenetError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_FILES: Final = 10
"""Records in a folder; the oldest goes."""
_NAME: Final = re.compile(r"gamenet-\d{8}T\d{6}Z-\d+-\d\d\.jsonl")
_TRIES: Final = 100
"""Names that may be taken already, in one second."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_HAS_DIR_FD: Final = os.open in os.supports_dir_fd


class RecordError(GamenetError):
    """A flight record cannot be written; the text says where and why."""


class RecordFolder:
    """A folder of records.

    :param path: "" is the working directory at the time of writing.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path) if path else ""

    def check(self) -> None:
        """See now whether records could be written there.

        :raises ConfigError: if not, unless it is the working directory that nobody has chosen.
        """
        if not self._path:
            return
        try:
            _Folder(self._path).close()
        except RecordError as error:
            raise ConfigError("record_dir", str(error)) from None
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise ConfigError("record_dir", f"this process may not write into {self._path}")

    def write(self, lines: Iterable[bytes]) -> str:
        """Write a record.

        :returns: the path of the file.
        :raises RecordError: saying why there is none.
        """
        path = self._path or _working_directory()
        folder = _Folder(path)
        try:
            name = _write(folder, lines)
        except OSError as error:
            raise RecordError(f"cannot write into {path}: {error.strerror}") from None
        finally:
            folder.close()
        return os.path.join(path, name)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise RecordError("the working directory is gone; name another with --record-dir") from None


class _Folder:
    """A folder that was looked at, and the files in it: by its descriptor where the system can.

    :raises RecordError: if it is none, or one that anybody can write into.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = _opened(path) if _HAS_DIR_FD else None
        self._within: dict[str, Any] = {} if self._number is None else {"dir_fd": self._number}

    def close(self) -> None:
        if self._number is not None:
            os.close(self._number)

    def _of(self, name: str) -> str:
        return name if self._within else os.path.join(self._path, name)

    def new(self, name: str) -> int:
        return os.open(self._of(name), _NEW, 0o600, **self._within)

    def remove(self, name: str) -> None:
        os.unlink(self._of(name), **self._within)

    def records(self) -> list[str]:
        """The names of records, the oldest first."""
        found = os.listdir(self._path if self._number is None else self._number)
        return sorted(name for name in found if _NAME.fullmatch(name))


def _opened(path: str) -> int:
    if os.path.islink(path):
        raise RecordError(f"{path} is a link; name the folder itself")
    try:
        folder = os.open(path, _FOLDER)
    except OSError as error:
        raise RecordError(f"cannot write into {path}: {error.strerror}") from None
    mode = os.fstat(folder).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        os.close(folder)
        raise RecordError(
            f"everybody on this machine can write into {path}; close it with: chmod o-w {path}"
        )
    return folder


def _write(folder: _Folder, lines: Iterable[bytes]) -> str:
    number, name = _new(folder)
    try:
        with os.fdopen(number, "wb") as file:
            for line in lines:
                file.write(line)
    except OSError:
        with suppress(OSError):
            folder.remove(name)
        raise
    with suppress(OSError):
        # The new one stays, also where others have names of a later time.
        others = [each for each in folder.records() if each != name]
        for old in others[: max(0, len(others) + 1 - MAX_FILES)]:
            folder.remove(old)
    return name


def _new(folder: _Folder) -> tuple[int, str]:
    stamp = f"gamenet-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}"
    for count in range(_TRIES - 1):
        name = f"{stamp}-{count:02}.jsonl"
        with suppress(FileExistsError):
            return folder.new(name), name
    name = f"{stamp}-{_TRIES - 1:02}.jsonl"
    return folder.new(name), name
