"""The file of accounts: reading it whole, and changing it so that nobody reads half of it.

Layer 4. Runs on: any thread.

A file has one account a line, as :mod:`gamenet.core.password` says; empty lines and lines that
begin with ``#`` are skipped. A change is written to ``FILE.new`` and renamed; that name is also
what keeps two changes from being made at once.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from gamenet.core.password import Record, parse_record
from gamenet.core.text import name_key
from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 2 << 20
"""Some 20,000 accounts, read in a tenth of a second; more belong into a backend with tickets."""
HEADER: Final = "# Accounts for --auth file:..., changed with: gamenet passwd FILE NAME\n"
_BINARY: Final = getattr(os, "O_BINARY", 0)  # where a system tells text from bytes


def read_file(path: str, field: str) -> bytes:
    """All of a file.

    :raises ConfigError: naming *field*, if it cannot be, or is too large or no file.
    """
    try:
        with open(path, "rb", opener=_open_now) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(field, f"{path} is not a file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(field, f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(field, f"{path} is larger than {MAX_BYTES} bytes; use tickets instead")
    return data


def _open_now(path: str, flags: int) -> int:
    """Open a file; a pipe would wait for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def parse(data: bytes, path: str, field: str) -> list[Record]:
    """The accounts of a file.

    :raises ConfigError: naming *field* and the first line that is not right.
    """
    records = []
    lines: dict[str, int] = {}
    for number, line in _numbered(data, path, field):
        if not _is_account(line):
            continue
        try:
            record = parse_record(line.strip())
        except ValueError as error:
            raise ConfigError(field, f"{path} line {number}: {error}") from None
        before = lines.setdefault(name_key(record.name), number)
        if before != number:
            raise ConfigError(field, f"{path} line {number}: {record.name} is in line {before} too")
        records.append(record)
    return records


def check(path: str) -> None:
    """Refuse a file that :func:`change` could not change, before anybody types a password for it.

    :raises ConfigError: saying what is in the way.
    """
    if os.path.isdir(path):
        raise ConfigError(
            "",
            f"{path} is a directory; name a file in it, such as {os.path.join(path, 'accounts')}",
        )
    path = os.path.realpath(path)
    if os.path.exists(path):
        parse(read_file(path, ""), path, "")
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise ConfigError("", f"there is no directory {folder}; make it first: mkdir -p {folder}")


def change(path: str, name: str, record: Record | None) -> bool:
    """Set the record of an account, or delete it; everything else stays as it is.

    A new file can be read by its owner only; an old one keeps its owner and mode.

    :param record: None deletes.
    :returns: whether there was such an account before.
    :raises ConfigError: if the file cannot be read, changed or understood.
    """
    path = os.path.realpath(path)
    new = f"{path}.new"
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
    except FileExistsError:
        raise ConfigError(
            "", f"{new} is there: the file is being changed; if nobody does, remove {new}"
        ) from None
    except OSError as error:
        raise ConfigError("", f"cannot write {new}: {error.strerror}") from None
    try:
        with open(handle, "wb") as file:
            old = read_file(path, "") if os.path.exists(path) else b""
            text, found = _changed(old, path, name, record)
            if old or os.path.exists(path):
                _keep_owner(handle, os.stat(path))
            file.write(text.encode())
            file.flush()
            os.fsync(handle)
        if found or record is not None:
            os.replace(new, path)
    except OSError as error:
        raise ConfigError("", f"cannot write {path}: {error.strerror}") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
    return found


def _changed(old: bytes, path: str, name: str, record: Record | None) -> tuple[str, bool]:
    """The new text, and whether the account was in the old."""
    parse(old, path, "")
    key = name_key(name)
    kept: list[str] = []
    found = False
    for _, line in _numbered(old, path, ""):
        if not (_is_account(line) and name_key(line.strip().partition(":")[0]) == key):
            kept.append(line)
            continue
        found = True
        if record is not None:
            kept.append(record.line())
    while kept and not kept[-1].strip():
        kept.pop()
    if record is not None and not found:
        kept.append(record.line())
    text = "".join(f"{line}\n" for line in kept)
    # A file of no bytes is taken for one that somebody is just writing.
    return (text if old and text else HEADER + text), found


def _numbered(data: bytes, path: str, field: str) -> Iterator[tuple[int, str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(field, f"{path} is not UTF-8 text") from None
    return enumerate(text.split("\n"), 1)


def _is_account(line: str) -> bool:
    bare = line.strip()
    return bool(bare) and not bare.startswith("#")


def _keep_owner(handle: int, old: os.stat_result) -> None:
    """Give the new file the old one's mode, and its owner where this process may."""
    if hasattr(os, "fchmod"):
        with contextlib.suppress(PermissionError):
            os.fchown(handle, old.st_uid, old.st_gid)
        os.fchmod(handle, stat.S_IMODE(old.st_mode))
