"""
The driver: ``python -m tests.fuzz --seconds 600``.

Divides the time over the targets, runs them side by side on all cores but one, and prints one line
for each. Ends with status 1 if anything was found.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz import corpus
from tests.fuzz.harness import examine
from tests.fuzz.registry import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_ATHERIS = (
    "fuzzing needs atheris, which is not installed: pip install '.[fuzz]' (it has wheels for "
    "CPython 3.11 to 3.13 on Linux); the kept inputs are run without it by 'make test'"
)
LIMITS = ("-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1")
"""For what the harness cannot stop by itself: an input that never ends, memory that never does."""
MERGED = "MERGE-OUTER: successful"
"""What libFuzzer says when it has merged; its exit status does not tell."""
LEAST_SECONDS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    if options.list:
        for name, target in TARGETS.items():
            print(f"{name:<16} {(type(target).__doc__ or '').strip().splitlines()[0]}")
        return 0
    names = options.target or list(TARGETS)
    if options.replay:
        return replay(names, options.replay)
    if importlib.util.find_spec("atheris") is None:
        print(NO_ATHERIS, file=sys.stderr)
        return 2
    if options.keep:
        return keep(names)
    return fuzz(names, options.seconds)


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the parsers.")
    made.add_argument("--seconds", type=int, default=60, help="in all, shared by the targets")
    made.add_argument("--target", action="append", choices=TARGETS, help="only this; repeatable")
    made.add_argument("--replay", type=Path, metavar="FILE", help="run one input, without atheris")
    made.add_argument("--keep", action="store_true", help="put what is new into the kept corpus")
    made.add_argument("--list", action="store_true", help="name the targets")
    return made


# ------------------------------------------------------------------------------------------- fuzz


def fuzz(names: Sequence[str], seconds: int) -> int:
    """Fuzz each target for its share of the time."""
    workers = min(len(names), max(1, cores() - 1))
    share = max(LEAST_SECONDS, seconds * workers // len(names))
    print(f"{len(names)} targets, {share} s each, {workers} at once", flush=True)
    clean = True
    with ThreadPoolExecutor(workers) as pool:
        for well in pool.map(lambda name: fuzz_one(name, share), names):
            clean = clean and well
    print("nothing found" if clean else "something was found", flush=True)
    return 0 if clean else 1


def cores() -> int:
    """How many this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def fuzz_one(name: str, seconds: int) -> bool:
    """Fuzz one target and print its line; returns whether nothing was found."""
    target = TARGETS[name]
    work, found = corpus.folder("corpus", name), corpus.folder("found", name)
    folders = [work, corpus.write_seeds(target), corpus.KEPT / name, found]
    log = corpus.folder("logs", "") / f"{name}.log"
    before = len(list(work.iterdir()))
    status = run_worker(
        name,
        log,
        *LIMITS,
        f"-max_total_time={seconds}",
        f"-artifact_prefix={found}{os.sep}",
        *(str(folder) for folder in folders if folder.exists()),
    )
    said = log.read_text(errors="replace")
    new = len(list(work.iterdir())) - before
    line = f"{name:<14} {statistic(said, 'number_of_executed_units'):>11,} runs  {new:>5} new"
    if status == 0:
        print(f"{line}  nothing found", flush=True)
        return True
    written = re.search(r"Test unit written to (\S+)", said)
    where = written[1] if written else f"no input, see {log}"
    print(f"{line}  FOUND {where}: {cause(said)}", flush=True)
    return False


def run_worker(name: str, log: Path, *flags: str) -> int:
    """Run a worker to its end; what it says goes to *log*."""
    with log.open("w") as out:
        return subprocess.run(
            [sys.executable, "-m", "tests.fuzz.worker", name, *flags],
            cwd=corpus.WORK.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode


def statistic(said: str, name: str) -> int:
    """A number of libFuzzer's final statistics."""
    match = re.search(rf"^stat::{name}:\s+(\d+)$", said, re.MULTILINE)
    return int(match[1]) if match else 0


def cause(said: str) -> str:
    """What a worker died of, in a line."""
    _, mark, rest = said.partition("=== Uncaught Python exception: ===\n")
    if mark:
        return rest.partition("\n")[0][:200]
    summary = re.search(r"^SUMMARY: (.+)$", said, re.MULTILINE)
    return summary[1] if summary else (said.strip().splitlines() or ["it said nothing"])[-1][:200]


# ----------------------------------------------------------------------------------------- replay


def replay(names: Sequence[str], path: Path) -> int:
    """Run one input through one target, and show what it finds."""
    if len(names) != 1:
        names = [name for name in TARGETS if name in path.resolve().parts]
    if len(names) != 1:
        print("name the target: --target NAME", file=sys.stderr)
        return 2
    try:
        examine(TARGETS[names[0]], path.read_bytes())
    except Exception:
        traceback.print_exc()
        return 1
    print("nothing found")
    return 0


# ------------------------------------------------------------------------------------------- keep


def keep(names: Sequence[str]) -> int:
    """Replace the kept corpus by the fewest inputs that reach what all known ones reach."""
    for name in names:
        target = TARGETS[name]
        seeds = corpus.write_seeds(target)
        kept = corpus.KEPT / name
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as temporary:
            merged = Path(temporary, "merged")
            shutil.copytree(seeds, merged)
            log = corpus.folder("logs", "") / f"{name}-merge.log"
            sources = (kept, corpus.folder("corpus", name))
            flags = ("-merge=1", "-set_cover_merge=1", "-timeout=10", merged, *sources)
            status = run_worker(name, log, *map(str, flags))
            if status or MERGED not in log.read_text(errors="replace"):
                print(f"{name}: not merged, see {log}", file=sys.stderr)
                return 1
            found = {path.name: path.read_bytes() for path in merged.iterdir()}
        for path in kept.iterdir():
            if not path.name.startswith(corpus.REGRESSION):
                path.unlink()
        corpus.write(kept, (data for key, data in found.items() if not (seeds / key).exists()))
        sizes = [path.stat().st_size for path in kept.iterdir()]
        print(f"{name:<14} {len(sizes):>4} kept, {sum(sizes):>7,} bytes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
