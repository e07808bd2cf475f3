"""The tutorial's pages as what a reader does: files to write, commands to type, lines to see."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "tutorial"
EXAMPLES = ROOT / "examples" / "tutorial"

_BLOCK = re.compile(
    r"^\.\. (?P<kind>literalinclude|code-block):: (?P<argument>.*)\n"
    r"(?P<options>(?:   :.*\n)*)"
    r"(?P<body>(?:\n|   .*\n)*)",
    re.MULTILINE,
)


class Listing(NamedTuple):
    """A file that the reader writes."""

    name: str
    source: Path
    marked: list[int]
    """The lines that the page marks as new."""


class Commands(NamedTuple):
    """What the reader types into a terminal."""

    terminal: int
    lines: list[str]


class Shown(NamedTuple):
    """What a terminal shows then; ``…`` stands for anything."""

    terminal: int
    lines: list[str]


Step = Listing | Commands | Shown


def page_names() -> list[str]:
    """The pages in the order in which they are read."""
    _, _, tree = (PAGES / "index.rst").read_text(encoding="utf-8").partition(".. toctree::")
    return re.findall(r"^   (\w+)$", tree, re.MULTILINE)


def steps(page: str) -> list[Step]:
    """What the reader of a page does, in order. Blocks for another system are not among them.

    :raises ValueError: for a block that nobody could follow.
    """
    text = (PAGES / f"{page}.rst").read_text(encoding="utf-8")
    found = [_step(block, page) for block in _BLOCK.finditer(text)]
    return [step for step in found if step is not None]


def _step(block: re.Match[str], page: str) -> Step | None:
    options = dict(re.findall(r"^   :([\w-]+): *(.*)$", block["options"], re.MULTILINE))
    caption = options.get("caption", "")
    if block["kind"] == "literalinclude":
        source = (PAGES / block["argument"]).resolve()
        return Listing(caption, source, _numbers(options.get("emphasize-lines", "")))
    terminal = re.match(r"Terminal (\d)", caption)
    if terminal is None:
        raise ValueError(f"{page}: a block without the number of a terminal: {block[0]}")
    lines = [line.strip() for line in block["body"].splitlines() if line.strip()]
    number = int(terminal[1])
    match block["argument"]:
        case "sh":
            return Commands(number, lines)
        case "text":
            return Shown(number, lines)
        case "bat":
            return None
    raise ValueError(f"{page}: a block in a language of its own: {block['argument']}")


def _numbers(text: str) -> list[int]:
    """The numbers in ``3, 7-9``."""
    found: list[int] = []
    for part in filter(None, text.replace(" ", "").split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def new_lines(before: str, after: str) -> list[int]:
    """Numbers of the lines of *after* that are not from *before*."""
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    found: list[int] = []
    for kind, _, _, first, end in matcher.get_opcodes():
        if kind != "equal":
            found += range(first + 1, end + 1)
    return found
