"""Every seed, every kept input and everything once found, through its target; without atheris."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.strategies import damaged
from tests.fuzz import corpus
from tests.fuzz.harness import Meter, examine
from tests.fuzz.registry import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fuzz.harness import Target

HERE = Path(__file__).parent
MOST_KEPT_BYTES = 900_000
DAMAGED = 100
"""Damaged inputs of each target; the fuzzer makes millions."""


def of_each_target(test: Callable[..., None]) -> Callable[[type], type]:
    """Give a class of tests one for each target: *test*, called with it."""

    def add(case: type) -> type:
        for name, target in TARGETS.items():

            def run(self: SynchronousTestCase, target: Target = target) -> None:
                test(self, target)

            run.__name__ = f"test_{name}"
            run.__qualname__ = f"{case.__qualname__}.test_{name}"
            setattr(case, run.__name__, run)
        return case

    return add


def replay(case: SynchronousTestCase, target: Target) -> None:
    """Run all known inputs of a target, and weigh what each makes be held."""
    seeds = {f"seed {place}": data for place, data in enumerate(target.seeds())}
    for label, data in {**seeds, **corpus.kept(target)}.items():
        try:
            examine(target, data, timed=False)
        except Exception as error:
            raise AssertionError(f"{target.name}, {label}: {data[:200]!r}") from error


def damage(case: SynchronousTestCase, target: Target) -> None:
    """Run inputs that hypothesis has made of the seeds, the same ones each time."""

    @settings(max_examples=DAMAGED, derandomize=True)
    @given(damaged(st.sampled_from(list(target.seeds()))))
    def run(data: bytes) -> None:
        target.run(data[: target.max_bytes], Meter())

    run()


@of_each_target(replay)
class CorpusTests(SynchronousTestCase):
    """What is known stays harmless."""


@of_each_target(damage)
class DamagedTests(SynchronousTestCase):
    """What is nearly right is harmless, too."""


class KeptTests(SynchronousTestCase):
    """The folder of kept inputs."""

    def test_every_folder_has_its_target(self) -> None:
        folders = {path.name for path in corpus.KEPT.iterdir() if path.is_dir()}
        self.assertLessEqual(folders, set(TARGETS))

    def test_it_stays_small(self) -> None:
        sizes = [len(data) for target in TARGETS.values() for data in corpus.kept(target).values()]
        self.assertTrue(0 < sum(sizes) < MOST_KEPT_BYTES, sum(sizes))

    def test_no_input_is_longer_than_its_target_takes(self) -> None:
        for target in TARGETS.values():
            for name, data in corpus.kept(target).items():
                self.assertLessEqual(len(data), target.max_bytes, (target.name, name))

    def test_only_the_worker_needs_atheris(self) -> None:
        needing = {
            path.name
            for path in HERE.glob("*.py")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import) and any(name.name == "atheris" for name in node.names)
        }
        self.assertEqual(needing, {"worker.py"})
