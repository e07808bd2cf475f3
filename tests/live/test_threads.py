"""The one thread that gamenet starts: there when needed, in nobody's way, and alone at the end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

import gamenet
from tests.live.processes import HANGS_SECONDS, output, run, start
from tests.live.test_facade import on_a_game_thread

if TYPE_CHECKING:
    from pathlib import Path

SERVER_AND_CLIENT = """
    import os, sys, threading, time
    import gamenet
    HERE = "tcp:0:interface=127.0.0.1"
    server = gamenet.GameServer(HERE, insecure=True)
    client = None
    def begin(host="127.0.0.1"):
        global client
        server.start()
        client = gamenet.GameClient(f"{host}:{server.port}", user="ada", insecure=True)
        client.start()
    def end():
        client.stop()
        server.stop()
"""


def test_one_reactor_thread_is_started_for_all_and_kept() -> None:
    output(
        SERVER_AND_CLIENT
        + """
    begin()
    names = sorted(thread.name for thread in threading.enumerate() if thread.name[0] == "g")
    assert names == ["gamenet-reactor"], names
    (thread,) = [thread for thread in threading.enumerate() if thread.name == names[0]]
    assert thread.daemon
    end()
    begin()
    assert thread.is_alive()
    assert sum(each.name == "gamenet-reactor" for each in threading.enumerate()) == 1
    end()
    """
    )


def test_after_the_stop_only_the_reactor_thread_is_left_and_no_file() -> None:
    output(
        SERVER_AND_CLIENT
        + """
    def files():
        return sorted(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                      if os.path.lexists(f"/proc/self/fd/{name}"))
    begin()
    end()
    before = len(files())
    for _ in range(5):
        begin("localhost")  # which is looked up on another thread
        assert len(files()) > before
        end()
        assert len(files()) == before, files()
    from twisted.internet import reactor
    from twisted.internet.threads import blockingCallFromThread
    left = blockingCallFromThread(reactor, reactor.getDelayedCalls)
    assert left == [], left
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and thread.name != "gamenet-reactor":
            thread.join(60)
    names = sorted(thread.name for thread in threading.enumerate())
    assert names == ["MainThread", "gamenet-reactor"], names
    """
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_clients_that_come_and_go_leave_nothing_in_memory(host: str) -> None:
    """Also not the threads that looked up their server's name, which Twisted's pool remembers."""
    output(
        SERVER_AND_CLIENT
        + f"""
    import gc
    from twisted.internet import reactor
    def objects():
        gc.collect()
        return len(gc.get_objects())
    for _ in range(5):
        begin("{host}")
        end()
    before = objects()
    for _ in range(20):
        begin("{host}")
        end()
    assert len(reactor.getThreadPool().threads) <= 3, reactor.getThreadPool().threads
    grown = objects() - before
    assert grown < 20 * 5, grown
    """
    )


def test_a_process_with_a_running_client_and_server_exits_by_itself() -> None:
    for ending, status in (("", 0), ("sys.exit(7)", 7), ("sys.exit('sorry')", 1)):
        done = run(SERVER_AND_CLIENT + f"    begin()\n    {ending}\n")
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr


def test_an_error_in_the_game_is_the_processs_error_and_shown_once() -> None:
    done = run(SERVER_AND_CLIENT + "    begin()\n    1 / 0\n")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == done.stderr.count("ZeroDivisionError") == 1


def test_the_switch_interval_is_shortened_while_anything_runs_and_then_restored() -> None:
    output(
        SERVER_AND_CLIENT
        + """
    before = sys.getswitchinterval()
    begin()
    assert sys.getswitchinterval() < before
    server.stop()
    assert sys.getswitchinterval() < before, "the client's bridge is still open"
    client.stop()
    assert sys.getswitchinterval() == before
    """
    )


def test_the_reactors_clock_cannot_jump_unless_it_is_told_to_stay() -> None:
    for fields, wanted in (("", "True"), (", monotonic_clock=False", "False")):
        printed = output(
            f"""
            import time, gamenet
            with gamenet.GameServer("tcp:0:interface=127.0.0.1", insecure=True{fields}):
                from twisted.internet import reactor
                print(reactor.seconds is time.monotonic)
            """
        )
        assert printed.split() == [wanted]


def test_a_forked_child_is_refused_at_once_and_told_to_spawn() -> None:
    printed = output(
        SERVER_AND_CLIENT
        + """
    begin()
    takers = [
        lambda: gamenet.GameServer(HERE, insecure=True).start(),
        lambda: gamenet.GameClient(server.address, insecure=True).start(),
        lambda: gamenet.GameClient(server.address, insecure=True).start(wait=False),
        server.ticks, server.events, server.stop, client.ticks, client.events, client.take_state,
        client.stop,
    ]
    sys.stdout.flush()
    if os.fork() == 0:
        for taker in takers:
            try:
                taker()
            except gamenet.LocalProtocolError as error:
                print("spawn" in str(error), flush=True)
        os._exit(0)
    os.wait()
    # The parent has not suffered.
    assert client.joined and server.running
    end()
    """
    )
    assert printed.split() == ["True"] * 10


def test_a_spawned_child_plays(tmp_path: Path) -> None:
    script = tmp_path / "spawns.py"
    script.write_text(
        "import multiprocessing, gamenet\n"
        "def play(address):\n"
        "    with gamenet.GameClient(address, user='child', insecure=True) as client:\n"
        "        client.say('hello from a child')\n"
        "        client.events()\n"
        "if __name__ == '__main__':\n"
        "    with gamenet.GameServer('tcp:0:interface=127.0.0.1', insecure=True) as server:\n"
        "        context = multiprocessing.get_context('spawn')\n"
        "        child = context.Process(target=play, args=(server.address,))\n"
        "        child.start()\n"
        "        for tick in server.ticks(100):\n"
        "            for event in tick.events:\n"
        "                if isinstance(event, gamenet.Chat):\n"
        "                    print(event.player, event.text)\n"
        "            if any(isinstance(event, gamenet.Left) for event in tick.events):\n"
        "                break\n"
        "        child.join()\n"
    )
    printed = output(
        "import runpy, sys; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')",
        str(script),
    )
    assert printed == "child hello from a child\n"


def test_a_reactor_that_was_stopped_cannot_be_started_again_and_that_is_said() -> None:
    printed = output(
        """
        import gamenet
        from twisted.internet import reactor
        reactor.callWhenRunning(reactor.stop)
        reactor.run()
        try:
            gamenet.GameServer("tcp:0:interface=127.0.0.1", insecure=True).start()
        except gamenet.LocalProtocolError as error:
            print(error)
        """
    )
    assert "cannot start it a second time" in printed


def test_within_a_reactor_callback_a_facade_is_refused_at_once() -> None:
    printed = output(
        """
        import gamenet
        from twisted.internet import reactor
        def wrong():
            for call in (
                gamenet.GameServer("tcp:0:interface=127.0.0.1", insecure=True).start,
                gamenet.GameClient("127.0.0.1:1", insecure=True).start,
            ):
                try:
                    call()
                except gamenet.LocalProtocolError as error:
                    print("GameServerFactory" in str(error))
            reactor.stop()
        reactor.callWhenRunning(wrong)
        reactor.run()
        """
    )
    assert printed.split() == ["True", "True"]


# serve()

GAMES = """
    import sys, threading, gamenet
    HERE = "tcp:0:interface=127.0.0.1"
    def returns(server):
        print("playing", flush=True)
    def raises(server):
        raise ZeroDivisionError("a mistake in the game")
    def raises_at_the_end(server):
        for tick in server.ticks(100):
            pass
        raise ZeroDivisionError("a mistake in the game")
    def exits(server):
        sys.exit(3)
    def plays(server):
        for tick in server.ticks(100):
            pass
        print("saved", flush=True)
    def hangs(server):
        threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("game", "status", "mistakes"), [("returns", 0, 0), ("raises", 1, 1), ("exits", 1, 0)]
)
def test_serve_ends_with_its_game_and_says_how_it_went(
    game: str, status: int, mistakes: int
) -> None:
    done = run(GAMES + f"    sys.exit(gamenet.serve({game}, HERE, insecure=True))\n")
    assert done.returncode == status, done.stderr
    assert done.stderr.count("Traceback") == done.stderr.count("a mistake in") == mistakes
    assert "gamenet: listening on 127.0.0.1:" in done.stdout


def test_serve_waits_for_its_game_in_pieces_so_that_windows_hears_ctrl_c() -> None:
    done = run(
        GAMES
        + """
    waits = []
    class Waiting(gamenet.GameServer):
        def wait(self, timeout=None):
            waits.append(timeout)
            return len(waits) == 3
    gamenet.facade.GameServer = Waiting
    status = gamenet.serve(plays, HERE, insecure=True)
    sys.exit(status or waits != [1.0] * 3)
    """
    )
    assert done.returncode == 0, done.stderr


def test_serve_on_a_port_in_use_is_one_line_and_status_1() -> None:
    done = run(
        GAMES
        + """
    with gamenet.GameServer(HERE, insecure=True) as other:
        status = gamenet.serve(plays, f"tcp:{other.port}:interface=127.0.0.1", insecure=True)
    sys.exit(status)
    """
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "listen" in line]
    assert line.startswith("gamenet: cannot listen on TCP 127.0.0.1:")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@on_a_game_thread
def test_an_interrupt_ends_serve_in_an_orderly_way(number: signal.Signals) -> None:
    process = start(GAMES + "    sys.exit(gamenet.serve(plays, HERE, insecure=True))\n")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition(" ")[2].strip()
        with gamenet.GameClient(address, insecure=True) as client:
            process.send_signal(number)
            last = list(client.ticks(100))[-1].events[-1]
            assert isinstance(last, gamenet.Disconnected)
            assert last.reason is gamenet.DisconnectReason.STOPPED
        out, err = process.communicate(timeout=HANGS_SECONDS)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "saved\n"), err
    assert "Traceback" not in err


def test_an_interrupt_ends_serve_although_the_game_hangs_or_fails_at_the_end() -> None:
    for game, status in (("hangs", 0), ("raises_at_the_end", 1)):
        process = start(
            GAMES + f"    sys.exit(gamenet.serve({game}, HERE, insecure=True, stop_seconds=0.2))\n"
        )
        try:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=HANGS_SECONDS)
        finally:
            process.kill()
        assert process.returncode == status, err
        assert err.count("Traceback") == (game != "hangs"), err
