"""
The game in a real window: ``make test-play``, or ``python -m tests.display``.

The window is on a display that nobody sees (Xvfb), and is looked at from outside, by another
process. Neither pytest nor trial collects what is here, so that they run where there is no such
display.
"""

import os

# This process draws only what the window is compared with.
os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
