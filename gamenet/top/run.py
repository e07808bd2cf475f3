"""Looks at a status site and shows it, once a second.

Layer 4. Runs on: the main thread.

With rich (``pip install gamenet[top]``) and a terminal the view stays in its place; else each look
is a block of text.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, TextIO

from gamenet.top.glyphs import glyphs_of
from gamenet.top.layout import fit, text
from gamenet.top.site import LOOK_SECONDS, NoAnswer, Site
from gamenet.top.watch import View, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from gamenet.top.table import Line

FILE_WIDTH: Final = 160
"""Columns where there is no terminal whose width counts."""


def run_top(
    address: str,
    interrupted: Callable[[], bool],
    out: TextIO,
    *,
    seconds: float = 1.0,
    looks: int | None = None,
) -> None:
    """Look and show, until interrupted.

    :param seconds: from one look to the next.
    :param looks: how many; None is no end.
    :raises NoAnswer: if the first look fails. Later ones are tried again.
    """
    site, watch = Site(address), Watch()
    now = site.look_until(interrupted)
    if now is None:
        return
    first = watch.take(now)
    show, screen = _screen(out)
    with screen:
        show(first)
        while looks is None or looks > 1:
            due = time.monotonic() + seconds
            while time.monotonic() < due:
                if interrupted():
                    return
                time.sleep(min(LOOK_SECONDS, seconds))
            try:
                now = site.look_until(interrupted)
                if now is None:
                    return
                shown = watch.take(now)
            except NoAnswer as error:
                show(View((str(error), "trying again; Ctrl-C ends this")))
                continue
            show(shown)
            if looks is not None:
                looks -= 1


def _screen(out: TextIO) -> tuple[Callable[[View], None], Any]:
    """How a view is shown, and what is entered for as long as that goes on."""
    glyphs = glyphs_of(out.encoding)
    is_terminal = out.isatty()
    if is_terminal and os.environ.get("TERM") != "dumb":  # where rich would draw nothing
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError:
            pass
        else:
            console = Console(file=out)
            live = Live(console=console, auto_refresh=False, screen=True)

            def draw(view: View) -> None:
                size = console.size
                live.update(drawn(fit(view, size.width, size.height, glyphs)), refresh=True)

            return draw, live

    def show(view: View) -> None:
        width = shutil.get_terminal_size().columns if is_terminal else FILE_WIDTH
        print(text(fit(view, width, None, glyphs)) + "\n", file=out, flush=True)

    return show, nullcontext()


def drawn(lines: list[Line]) -> RenderableType:
    """Lines in colours, as rich draws them."""
    from rich.console import Group
    from rich.text import Text

    # Texts, not strings: brackets in a name are no markup.
    return Group(*(Text.assemble(*line, no_wrap=True, overflow="crop") for line in lines))
