"""
Check that users can read what changed: a fragment waits in ``newsfragments/``, or ``NEWS.rst`` has
the entry of this very version. Prints the news as the next release will show it.

Run by ``make news``. Needs towncrier.
"""

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTHING = "No significant changes."


def main() -> int:
    version = runpy.run_path(str(ROOT / "gamenet/_version.py"))["__version__"]
    draft = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", version],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if draft.returncode:
        print(draft.stdout + draft.stderr, file=sys.stderr)
        return 1
    released = f"\ngamenet {version} (" in (ROOT / "NEWS.rst").read_text(encoding="utf-8")
    if NOTHING not in draft.stdout:
        print(draft.stdout.strip())
    elif not released:
        print(
            f"No news: put a file in newsfragments/ (its README.rst says how), since NEWS.rst "
            f"has no entry for {version} either.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
