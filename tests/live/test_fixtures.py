"""The fixtures that pytest finds on a machine that has gamenet, in test runs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from gamenet.errors import DisconnectReason
from tests.live.daemon import RawClient
from tests.live.processes import HANGS_SECONDS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

GAME = """
import gamenet, pytest

class Walk(gamenet.Game):
    def on_start(self): self.places = {}
    def on_join(self, player): self.places[player] = 0
    def on_input(self, player, number, buttons): self.places[player] += buttons
    def on_tick(self, tick):
        for player in self.server.players:
            self.server.send_state(player, b"%d" % self.places[player])

class Fails(gamenet.Game):
    def on_tick(self, tick):
        raise ZeroDivisionError("on purpose")
"""


def run(folder: Path, tests: str, *options: str, alone: bool = True) -> tuple[int, str]:
    """Run a file of tests.

    :param alone: with no other plugin than ours.
    """
    (folder / "test_it.py").write_text(textwrap.dedent(tests), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PY_COLORS": "0"}
    if alone:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "pytest_gamenet", "-p", "no:cacheprovider",
         "-W", "error", *options, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def passes(folder: Path, tests: str, *options: str, alone: bool = True) -> None:
    status, out = run(folder, tests, *options, alone=alone)
    assert status == 0, out


def fails(folder: Path, tests: str, *texts: str) -> None:
    status, out = run(folder, tests)
    assert status == 1, out
    for text in texts:
        assert text in out


def test_nothing_is_imported_before_a_fixture_is_used(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """
        import sys
        def loaded():
            return {name for name in sys.modules if name.split(".")[0] in ("gamenet", "twisted")}
        def test_without_a_fixture():
            assert "pytest_gamenet" in sys.modules
            assert loaded() == set()
        def test_one_that_is_not_called(gamenet_pair, gamenet_network, gamenet_server):
            assert loaded() == set()
        def test_with_one(gamenet_pair):
            gamenet_pair().step()
            assert "gamenet.testing" in loaded()
            assert "twisted.internet.reactor" not in loaded()
        """,
    )


def test_the_entry_point_is_the_module(tmp_path: Path) -> None:
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"pytest11": ["pytest_gamenet = pytest_gamenet"]' in setup
    # Loaded twice it would be refused, so both ways must have one name.
    status, out = run(tmp_path, "def test(): pass", "--trace-config")
    assert status == 0
    assert "pytest_gamenet" in out


def test_the_fixtures_say_what_they_are(tmp_path: Path) -> None:
    status, out = run(tmp_path, "def test(): pass", "--fixtures")
    assert status == 0
    for name in ("gamenet_pair", "gamenet_network", "gamenet_server"):
        assert f"\n{name} -- " in out
    assert "no docstring" not in out.partition("gamenet_pair -- ")[2].partition("-----")[0]


def test_pairs(tmp_path: Path) -> None:
    passes(
        tmp_path,
        GAME
        + """
def test_one(gamenet_pair):
    pair = gamenet_pair(Walk, seed=3, profile="cellular", tick_rate=60)
    pair.client.send_input(5)
    pair.until(lambda: pair.game.places[pair.game.server.find(1)] == 5)

def test_several(gamenet_pair):
    one, other = gamenet_pair(Walk, seed=1), gamenet_pair(Walk, seed=1)
    one.step(); other.step()
    assert one.fingerprint() == other.fingerprint()
""",
    )


def test_pairs_on_the_reactors_thread(tmp_path: Path) -> None:
    passes(
        tmp_path,
        GAME
        + """
import pytest_twisted

def play(pair):
    for tick in pair.client.ticks(30):
        pair.client.send_input(1)
        if tick.number == 30:
            break
    pair.client.events(1.0)
    pair.client.stop()

def test_plain(gamenet_pair):
    play(gamenet_pair(Walk))

@pytest_twisted.ensureDeferred
async def test_on_it(gamenet_pair):
    from twisted.internet import reactor
    from twisted.python.threadable import isInIOThread
    assert reactor.running and isInIOThread()
    play(gamenet_pair(Walk))
""",
        "-p",
        "pytest_twisted",
    )


def test_a_pair_that_ends_badly_fails_its_test(tmp_path: Path) -> None:
    fails(
        tmp_path,
        GAME
        + """
def test_leak(gamenet_pair):
    gamenet_pair(Walk).server.reactor.callLater(60, print)
    gamenet_pair(Walk)

def test_game(gamenet_pair):
    gamenet_pair(Fails)
""",
        "1 failed, 1 passed, 1 error",
        "left behind: <timer in",
        "ZeroDivisionError: on purpose",
    )


def test_networks(tmp_path: Path) -> None:
    tests = """
        from gamenet.testing import SimulatedReactor
        def test_it(gamenet_network):
            network = gamenet_network(seed=7)
            reactor = SimulatedReactor(network)
            assert network.seed == 7 and reactor.network is network
            calls = []
            timer = reactor.callLater(1, calls.append, 1)
            network.run(2)
            assert calls == [1]
    """
    passes(tmp_path, tests)
    fails(
        tmp_path,
        tests.rstrip() + "\n            reactor.callLater(1, calls.append, 1)\n",
        "1 passed, 1 error",
        "left on the simulated network:",
        "<timer in 1 s",
    )


def test_servers(tmp_path: Path) -> None:
    passes(
        tmp_path,
        GAME
        + """
import os, signal

def test_live(gamenet_server):
    for game in (Walk, "test_it:Walk"):
        with gamenet.GameClient(gamenet_server(game, tick_rate=50), insecure=True) as client:
            assert client.tick_rate == 50
            client.send_input(3)
            for tick in client.ticks(50):
                state = client.take_state()
                if state is not None and state.payload == b"3":
                    break

def test_it_is_a_process_and_ends(gamenet_server):
    from gamenet.testing.live import LiveServer
    server = LiveServer(Walk)
    assert server.pid != os.getpid()
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)

def test_nothing_that_could_be_imported(gamenet_server):
    class Here(Walk): pass
    for game in (Here, lambda server: None, Walk()):
        with pytest.raises(gamenet.ConfigError, match="cannot be imported by another process"):
            gamenet_server(game)
    with pytest.raises(gamenet.ConfigError, match="cannot be sent"):
        gamenet_server(Walk, options={"x": object()})
""",
    )


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    fails(
        tmp_path,
        GAME
        + """
def test_no_module(gamenet_server):
    gamenet_server("nowhere:game")

def test_no_setting(gamenet_server):
    gamenet_server(Walk, tick_rat=3)

def test_no_port(gamenet_server):
    taken = gamenet_server(Walk)
    gamenet_server(Walk, listen="tcp:" + taken.rpartition(":")[2] + ":interface=127.0.0.1")
""",
        "3 failed",
        "no server for nowhere:game: game: cannot import 'nowhere'",
        "did you mean tick_rate?",
        "Address already in use",
    )


def test_a_server_whose_game_fails_fails_the_test(tmp_path: Path) -> None:
    fails(
        tmp_path,
        GAME
        + """
def test_it(gamenet_server):
    gamenet_server(Fails)
""",
        "1 passed, 1 error",
        "the server of test_it:Fails ended with 1",
        "ZeroDivisionError: on purpose",
    )


def test_a_server_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    (tmp_path / "walk.py").write_text(GAME, encoding="utf-8")
    source = (
        "import os, sys\n"
        "from gamenet.testing.live import LiveServer\n"
        "print(LiveServer('walk:Walk').address, flush=True)\n"
        "sys.stdin.read()\n"
        "os._exit(1)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    with RawClient(starter.stdout.readline().strip(), "ada") as client:
        client.join()
        starter.stdin.close()
        assert client.expect_bye() is DisconnectReason.STOPPED
    starter.stdout.close()
    assert starter.wait(HANGS_SECONDS) == 1
