"""A step of the tutorial, played on a port of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from gamenet.certificates import make_certificate, write_certificate
from tests.tutorial.pages import EXAMPLES, ROOT

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from tests.tutorial.windows import Windows

CERTIFICATE = "cert_file='gamenet-cert.pem', key_file='gamenet-key.pem'"


class Play:
    """One step in a folder of its own, with what was made of it running."""

    def __init__(self, step: int, folder: Path, stack: ExitStack) -> None:
        shutil.copytree(EXAMPLES / f"step{step}", folder)
        write_certificate(folder, make_certificate(["localhost"]))
        self.step = step
        self._folder = folder
        self._stack = stack
        trust = CERTIFICATE if step >= 6 else "insecure=True"
        self.server = self._start(
            "-c", f"import sys, gamenet, server; sys.exit(gamenet.serve(server.main, 0, {trust}))"
        )

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # The last to be called first: the end of the process is the end of what it shows.
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process

    def wait_for_server(self) -> None:
        """Until it says where it is; windows know then."""
        assert self.server.stdout is not None
        lines = iter(self.server.stdout)
        address = next(line for line in lines if "listening on" in line).split()[-1]
        self._arguments = [address]
        if self.step < 6:
            self._arguments = []
            program = self._folder / "window.py"
            text = program.read_text(encoding="utf-8")
            assert text.count('"localhost"') == 1
            program.write_text(text.replace('"localhost"', f'"{address}"'), encoding="utf-8")

    def open_window(self, name: str, windows: Windows) -> subprocess.Popen[str]:
        """Start a window; it reports at *windows* once it is open."""
        return self._start("window.py", name, *self._arguments, **windows.environment(ROOT))
