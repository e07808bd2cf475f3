"""Players who come with a password.

Layer 4. Runs on: the reactor thread; the hashing on threads of its own.

A server looks at each login whether its file of accounts has changed. A file that cannot be used
then, because somebody is writing it or made a mistake, changes nothing: the accounts read before
stay in force, and one line in the log says why.
"""

from __future__ import annotations

import os
import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.logger import Logger
from zope.interface import implementer

from gamenet.account_file import parse, read_file
from gamenet.core.password import (
    A_PASSWORD,
    HASH_BYTES,
    SALT_BYTES,
    Record,
    is_password,
    make_record,
    normal_password,
)
from gamenet.core.text import name_key
from gamenet.errors import ConfigError
from gamenet.login_pool import LoginPool

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Accounts", "LoginPool", "PasswordChecker", "PasswordFile", "new_record"]

log = Logger()


class Accounts:
    """Accounts by name, without regard to case.

    :param log2_n: what an unknown name costs where no account is listed that says it.
    """

    def __init__(self, records: Iterable[Record], log2_n: int) -> None:
        self._records = {name_key(record.name): record for record in records}
        self._costs = bytes(record.log2_n for record in self._records.values()) or bytes((log2_n,))
        self._secret = secrets.token_bytes(16)

    def __len__(self) -> int:
        return len(self._records)

    def current(self) -> Accounts:
        """These accounts: they never change."""
        return self

    def lists(self, name: str) -> bool:
        """Whether there is an account of that name."""
        return name_key(name) in self._records

    def find(self, name: str) -> tuple[Record, bool]:
        """The record of *name* and True; or one that costs as much to check, and False.

        An unknown name costs what one of the listed names does, and always what the same one does:
        so where accounts have different costs, a cost tells nothing about a name.
        """
        key = name_key(name)
        found = self._records.get(key)
        if found is not None:
            return found, True
        digest = blake2b(key.encode(errors="replace"), key=self._secret, digest_size=8).digest()
        cost = self._costs[int.from_bytes(digest) % len(self._costs)]
        return Record("", cost, digest + bytes(SALT_BYTES - 8), bytes(HASH_BYTES)), False


class PasswordFile:
    """The accounts of a file, read again when it has changed.

    :param log2_n: what an unknown name costs while the file lists none.
    :raises ConfigError: if the file cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], log2_n: int) -> None:
        # A daemon changes its folder after the command line is read.
        self._path = os.path.abspath(path)
        self._log2_n = log2_n
        self._stamp = _stamp(self._path)
        self._accounts = self._read()

    def current(self) -> Accounts:
        """The accounts as they are now."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            # Noted before reading: what changes meanwhile is seen at the next login, and one bad
            # state of the file makes one line.
            self._stamp = stamp
            try:
                self._accounts = self._read()
            except ConfigError as error:
                log.warn("the accounts read before stay in force: {error}", error=error)
            else:
                log.info(
                    "{path} has changed: {count} accounts",
                    path=self._path,
                    count=len(self._accounts),
                )
        return self._accounts

    def lists(self, name: str) -> bool:
        """Whether there is an account of that name now."""
        return self.current().lists(name)

    def _read(self) -> Accounts:
        data = read_file(self._path, "auth")
        if not data:
            # Nobody is let in by it, and somebody may be just writing it.
            raise ConfigError("auth", f"{self._path} is empty; 'gamenet passwd' adds accounts")
        return Accounts(parse(data, self._path, "auth"), self._log2_n)


def _stamp(path: str) -> tuple[int, ...]:
    """What changes when a file does."""
    try:
        now = os.stat(path)
    except OSError as error:
        return (error.errno or 0,)
    return now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns


def new_record(name: str, password: bytes, log2_n: int) -> Record:
    """The record of a new password, under a salt of its own.

    :raises ValueError: if it is not one that could ever be checked.
    """
    normal = normal_password(password)
    if normal is None:
        raise ValueError(A_PASSWORD)
    return make_record(name, normal, secrets.token_bytes(SALT_BYTES), log2_n)


@implementer(ICredentialsChecker)
class PasswordChecker:
    """Lets in whoever knows the password of an account; the account is the name as it is listed.

    A name that is not listed takes the same time and gets the same answer as a wrong password.

    :param accounts: an :class:`Accounts` or a :class:`PasswordFile`.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, accounts: Accounts | PasswordFile, pool: LoginPool) -> None:
        self.accounts = accounts
        self._pool = pool

    def requestAvatarId(self, credentials: Any) -> Any:
        """The account, once a thread has checked the password.

        :raises UnauthorizedLogin: if the password is none that anybody can have.
        """
        password = normal_password(credentials.password)
        if password is None:
            raise UnauthorizedLogin("wrong name or password")
        # A name that is no text is no account's either.
        name = credentials.username.decode(errors="replace")
        record, listed = self.accounts.current().find(name)
        return self._pool.run(is_password, record, password).addCallback(_account, record, listed)


def _account(right: bool, record: Record, listed: bool) -> str:
    if not (right and listed):
        raise UnauthorizedLogin("wrong name or password")
    return record.name
