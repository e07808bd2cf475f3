"""``python -m gamenet``: the same as the ``gamenet`` command.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import sys

from gamenet.cli import main

if __name__ == "__main__":
    sys.exit(main())
