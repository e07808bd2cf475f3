"""What the guides do with real sockets: a certificate, passwords, a class, asyncio."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from gamenet.certificates import make_certificate, write_certificate
from tests.live.daemon import HANGS_SECONDS, ROOT, Daemon, environment

if TYPE_CHECKING:
    from pathlib import Path

GUIDES = ROOT / "examples" / "guides"
PORTING = ROOT / "examples" / "porting"
SERVE = ("-m", "gamenet", "serve", "kept:Kept")
# Its log goes to standard error, and Daemon reads the other.
COMMAND = ("sh", "-c", 'exec "$@" 2>&1', "sh", sys.executable, *SERVE)


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Begin to run Python there."""
    env = environment()
    env["PYTHONPATH"] += f":{GUIDES}:{PORTING}"
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *words: str, typed: str = "") -> tuple[int, str, str]:
    """Run Python to its end: exit status, output, and what went to standard error."""
    process = start(folder, *words)
    try:
        out, err = process.communicate(typed, HANGS_SECONDS)
    finally:
        process.kill()
    return process.returncode, out, err


def test_a_visitor_is_let_in_by_password_and_hears_in_a_sentence_if_not(tmp_path: Path) -> None:
    write_certificate(tmp_path, make_certificate(["127.0.0.1"]))
    config = (GUIDES / "kept.toml").read_text(encoding="utf-8")
    assert "/var/lib/gamenet/" in config
    config = config.replace("/var/lib/gamenet/", "")
    (tmp_path / "kept.toml").write_text(config, encoding="utf-8")
    made = run(
        tmp_path, "-m", "gamenet", "passwd", "players", "ada", "--log2-n", "10", typed="x1\n"
    )
    assert made[0] == 0, made
    for name in ("kept", "orchard"):
        source = (GUIDES / f"{name}.py").read_text(encoding="utf-8")
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    checked = run(tmp_path, *SERVE, "--config", "kept.toml", "--check-config")
    assert checked[0] == 0, checked
    assert "max_players = 64" in checked[1]
    visit = str(GUIDES / "visit.py")
    cert = ("gamenet-cert.pem", "gamenet-key.pem")
    with Daemon(tmp_path, "--config", "kept.toml", cert=cert, command=COMMAND) as server:
        wrong = run(tmp_path, visit, server.address, "ada", typed="x2\n")
        assert wrong == (1, "", "The server does not know that name, or the secret is wrong.\n")
        visitor = start(tmp_path, visit, server.address, "ada")
        try:
            assert visitor.stdin is not None
            assert visitor.stdout is not None
            visitor.stdin.write("x1\n")
            visitor.stdin.flush()
            assert visitor.stdout.readline() == "<ada> hello from ada\n"
            server.signal(15)
            out, err = visitor.communicate(timeout=HANGS_SECONDS)
            assert (visitor.returncode, out, err) == (
                0,
                "The game is over: the server is shutting down\n",
                "",
            )
        finally:
            visitor.kill()
    assert (tmp_path / "apples.json").read_text(encoding="utf-8") == '{"ada": 0}'


def test_asyncio_and_a_game_run_beside_each_other(tmp_path: Path) -> None:
    room = start(tmp_path, "-c", "import asyncio, room; asyncio.run(room.run(0))")
    try:
        assert room.stdout is not None
        address = room.stdout.readline().strip()
        chat = start(tmp_path, "-m", "gamenet", "chat", address, "--user", "ada", "--insecure")
        try:
            assert chat.stdin is not None
            assert chat.stdout is not None
            chat.stdin.write("!time\n")
            chat.stdin.flush()
            heard = [next(chat.stdout) for _ in range(4)]
            assert heard[1:] == ["* ada comes in.\n", "<ada> !time\n", "* It is late.\n"]
        finally:
            chat.kill()
            chat.communicate()
        assert room.stdout.readline() == "<ada> !time\n"
    finally:
        room.kill()
        room.communicate()


def test_the_programs_of_porting_play_by_themselves(tmp_path: Path) -> None:
    """As their first lines say: one serves, another plays; on ports of the test's choosing."""
    codes, processes = {}, []
    try:
        for name in ("whiteboard", "ships"):
            code = (PORTING / f"{name}.py").read_text(encoding="utf-8")
            assert code.count("localhost:7777") == code.count(", insecure=True))") == 1
            codes[name] = code.replace(", insecure=True))", ", 0, insecure=True))")
            processes.append(start(tmp_path, "-u", "-c", codes[name], "serve"))
        for server, code in zip(tuple(processes), codes.values(), strict=True):
            assert server.stdout is not None
            line = next(line for line in server.stdout if "listening on" in line)
            code = code.replace("localhost:7777", line.split()[-1])
            processes.append(start(tmp_path, "-c", code, "ada"))
        for player, seen in zip(processes[2:], ("(10, 20)", "1 shoots"), strict=True):
            out, err = player.communicate(timeout=HANGS_SECONDS)
            assert (player.returncode, err) == (0, ""), err
            assert seen in out
    finally:
        for process in processes:
            process.kill()
            process.communicate()
