"""``python -m gamenet``: the same as the ``gamenet`` command.

Layer 4. Runs on: the main thread. Python has loaded the package by then, so Ctrl-C in the first
moments may still be a traceback here.
"""

from __future__ import annotations

import sys

from gamenet_command import main

if __name__ == "__main__":
    sys.exit(main())
