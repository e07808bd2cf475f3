"""What a daemon leaves on the disk: nothing for others to read, and no state to read again."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from typing import TYPE_CHECKING

from tests.live.daemon import HANGS_SECONDS, TWISTD, environment

if TYPE_CHECKING:
    from pathlib import Path


def test_inTheBackgroundWhatItWritesIsForItsUserAloneAndNoStateIsSaved(tmp_path: Path) -> None:
    # The daemon holds the writing end; the end of the pipe is the end of the daemon.
    reader, writer = os.pipe()
    log, pid_file = tmp_path / "server.log", tmp_path / "server.pid"
    before = os.umask(0)
    try:
        with open(reader, "rb") as alive:
            try:
                done = subprocess.run(
                    [*TWISTD, f"--logfile={log}", f"--pidfile={pid_file}", "gamenet",
                     "--insecure", "--listen", "tcp:0:interface=127.0.0.1"],
                    cwd=tmp_path,
                    env=environment(),
                    pass_fds=[writer],
                    timeout=HANGS_SECONDS,
                    check=False,
                )  # fmt: skip
            finally:
                os.close(writer)
            assert done.returncode == 0
            pid = int(pid_file.read_text())
            try:
                # The log is opened before there is a daemon, by whoever starts it.
                assert stat.S_IMODE(pid_file.stat().st_mode) & 0o077 == 0
            finally:
                os.kill(pid, signal.SIGTERM)
            assert alive.read() == b""
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]
