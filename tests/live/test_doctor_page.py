"""The examples of the page about the doctor are what the command prints."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from gamenet.doctor.check import NAMES, TITLES
from tests.live.doctor_page import CASES, PAGE, examine, shown

if TYPE_CHECKING:
    from collections.abc import Callable

TIMED = {"rtt", "loss", "clock"}
"""What a busy machine may find worse than the page has it."""


def on_a_game_thread(test: Callable[..., None]) -> Callable[..., Any]:
    """Run a test on a thread that may wait, beside the reactor of the test run."""

    @pytest_twisted.ensureDeferred
    @functools.wraps(test)
    async def run(*args: Any, **named: Any) -> None:
        await deferToThread(test, *args, **named)

    return run  # type: ignore[no-any-return]


def parts(output: str) -> dict[str, str]:
    """What was said of each check, without line ends and with other numbers."""
    titles = {title: name for name, title in TITLES.items()}
    found: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        title = line[11:23].strip()
        if re.match("ok |warning |failed |not tried ", line) and title in titles:
            name = titles[title]
        elif not line:
            name = "summary"
        found[name] = f"{found.get(name, '')} {line}"
    return {name: masked(text) for name, text in found.items()}


def masked(text: str) -> str:
    """The text without what differs each time."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "PIN", " ".join(text.split()))
    return re.sub(r"[+-]?\d[\d.,]*", "N", text)


@pytest.mark.parametrize("case", CASES)
@on_a_game_thread
def test_the_output_of(case: str) -> None:
    there = parts(shown(PAGE.read_text(encoding="utf-8"), case))
    here = parts(examine(case, "--seconds", "0.5"))
    assert set(there) == set(here) == {"", "summary", *NAMES}
    for name in NAMES:
        if name not in TIMED or there[name].startswith("not tried"):
            assert here[name] == there[name]
    shaky = any(here[name] != there[name] for name in TIMED)
    if not shaky:
        assert here["summary"] == there["summary"]


def test_every_check_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, title in TITLES.items():
        assert f"   * - {title}\n" in page
        assert f"``{name}``" in page
