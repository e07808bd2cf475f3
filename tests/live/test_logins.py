"""Passwords checked by real threads, while a real reactor runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, DeferredList

from gamenet.account_file import change
from gamenet.auth import PlayerPortal, make_portal
from gamenet.config import ServerConfig
from gamenet.credentials import IPlayerAvatar, LoginRefused
from gamenet.errors import RefusalReason
from gamenet.passwords import new_record

if TYPE_CHECKING:
    from pathlib import Path


def login_threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if "gamenet-login" in one.name}


def login(portal: PlayerPortal, name: str, password: str) -> Deferred[Any]:
    credentials = UsernamePassword(name.encode(), password.encode())
    return portal.login(credentials, None, IPlayerAvatar)


@pytest_twisted.ensureDeferred
async def test_logins_go_through_threads_of_their_own(tmp_path: Path) -> None:
    path = str(tmp_path / "players")
    change(path, "ada", new_record("ada", b"secret", 10))
    portal = make_portal([f"file:{path}"], ServerConfig(login_threads=2, login_queue=4))
    portal.start()
    before = login_threads()
    _, avatar, _ = await login(portal, "ADA", "secret")
    assert avatar.account == "ada"
    for name, password in (("ada", "wrong"), ("eve", "secret")):
        with pytest.raises(UnauthorizedLogin):
            await login(portal, name, password)
    rush = [login(portal, "ada", "secret") for _ in range(10)]
    answers = await DeferredList(rush, consumeErrors=True)
    refused = [failure.value for well, failure in answers if not well]
    assert len(refused) == 4, "two run, four wait"
    assert all(isinstance(one, LoginRefused) for one in refused)
    assert {one.refusal for one in refused} == {RefusalReason.BUSY}
    assert 1 <= len(login_threads() - before) <= 2
    assert portal.pool.jobs == 9
    await portal.stop()
    assert login_threads() == before


@pytest_twisted.ensureDeferred
async def test_stopping_waits_for_what_runs_without_holding_the_reactor() -> None:
    portal = make_portal(["memory:ada:secret"], ServerConfig(scrypt_log2_n=10, login_threads=1))
    released = threading.Event()
    before = login_threads()
    running = portal.pool.run(released.wait)
    waiting = login(portal, "ada", "secret")
    stopped = portal.stop()
    with pytest.raises(LoginRefused):
        await waiting
    assert not stopped.called
    released.set()
    assert await running
    await stopped
    assert login_threads() == before
