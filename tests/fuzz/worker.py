"""
One target under atheris, in a process of its own: ``python -m tests.fuzz.worker TARGET [FLAGS]``.

The flags are libFuzzer's. gamenet is imported here, under instrumentation, and nowhere before.
"""

from __future__ import annotations

import contextlib
import gc
import io
import shlex
import sys
import zlib

import atheris

INSTRUMENTED = {"config": ("gamenet", "tomllib"), "status": ("gamenet", "twisted")}
"""The packages whose coverage guides the fuzzer, where it is not gamenet alone."""


def main() -> None:
    """Fuzz until a limit among the flags ends it, or something is found."""
    name, *flags = sys.argv[1:]
    packages = INSTRUMENTED.get(name, ("gamenet",))
    instrumentation = atheris.instrument_imports(include=packages)
    with contextlib.redirect_stderr(io.StringIO()), instrumentation:  # a line for each module
        from tests.fuzz.harness import WEIGHED, Meter, examine
        from tests.fuzz.registry import TARGETS

    target = TARGETS[name]
    _keep_no_log()
    for seed in target.seeds():
        with contextlib.suppress(Exception):  # it will be found again, and reported, as any input
            target.run(seed, Meter())
    gc.collect()
    gc.freeze()

    def one_input(data: bytes) -> None:
        examine(target, data, weighed=not zlib.crc32(data) % WEIGHED)

    # What comes first is a command for the shell, by which libFuzzer starts itself when it merges.
    this = shlex.join((sys.executable, "-m", "tests.fuzz.worker", name))
    atheris.Setup([this, f"-max_len={target.max_bytes}", *flags], one_input)
    atheris.Fuzz()


def _keep_no_log() -> None:
    """Let Twisted's log go nowhere; until somebody listens it is kept in memory."""
    from twisted.logger import globalLogBeginner

    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)


if __name__ == "__main__":
    main()
