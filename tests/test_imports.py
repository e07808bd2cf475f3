"""
Who imports what, where the import graph alone cannot tell.

The layers themselves are contracts in ``pyproject.toml`` that ``lint-imports`` holds; here are the
rules that depend on where in a module an import stands, or on what a machine lacks.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent

# Modules whose data can name code to run, and the calls that run it.
UNSAFE_MODULES = {
    "dill",
    "marshal",
    "pickle",
    "shelve",
    "twisted.persisted",
    "twisted.spread",
    "yaml",
}
UNSAFE_CALLS = {"compile", "eval", "exec"}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of every module of gamenet, by dotted name."""
    trees = {}
    for path in sorted(ROOT.glob("gamenet/**/*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return trees


def imports(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[set[str], bool, int]]:
    """
    Yield each import below ``tree``: the dotted names it may load, whether a function has to be
    called for it to happen, and its line.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield {alias.name for alias in node.names}, in_function, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            yield names, in_function, node.lineno
        else:
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, in_function or is_function)


def names_module(names: set[str], module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in names)


def top_layer() -> set[str]:
    """Return the modules of L4 as the layers contract lists them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "layers")
    return {name.strip(" ()") for name in layers[0].split(":")}


class ReactorTests(SynchronousTestCase):
    """The global reactor is chosen by whoever starts the process, so nobody may load it early."""

    def test_importsInsideFunctionsAreToldApart(self) -> None:
        source = """
        from twisted.internet import reactor
        def late():
            import twisted.internet.reactor
        """
        found = list(imports(ast.parse(textwrap.dedent(source))))
        self.assertEqual([in_function for _, in_function, _ in found], [False, True])
        self.assertTrue(
            all(names_module(names, "twisted.internet.reactor") for names, _, _ in found)
        )

    def test_reactorIsImportedOnlyInFunctionsOfTheTopLayer(self) -> None:
        """The two factories aside, which take the one that runs where none is handed to them."""
        allowed = top_layer() | {"client", "server"}
        wrong = [
            f"{module}:{line}"
            for module, tree in modules().items()
            for names, in_function, line in imports(tree)
            if names_module(names, "twisted.internet.reactor")
            and not (in_function and module.split(".")[1:2] and module.split(".")[1] in allowed)
        ]
        self.assertEqual(wrong, [])

    def test_importingGamenetInstallsNoReactor(self) -> None:
        run_python(
            """
            import sys
            import gamenet, gamenet.tap
            assert "twisted.internet.reactor" not in sys.modules
            """
        )


class EngineTests(SynchronousTestCase):
    """Only who draws needs an engine."""

    def test_importingGamenetItsCommandAndTheModelOfTheGameLoadsNoPygame(self) -> None:
        run_python(
            """
            import sys
            import gamenet, gamenet.cli, gamenet.demo.game, gamenet.overlay
            import gamenet.play.world, gamenet.play.hosting, gamenet.play.closing
            assert "pygame" not in sys.modules
            """
        )


class UnsafeDecodingTests(SynchronousTestCase):
    """No bytes from a file or a peer can name code to run."""

    def test_noModuleThatRunsWhatItReads(self) -> None:
        wrong = [
            f"{module}:{line} imports {unsafe}"
            for module, tree in modules().items()
            for names, _, line in imports(tree)
            for unsafe in UNSAFE_MODULES
            if names_module(names, unsafe)
        ]
        self.assertEqual(wrong, [])

    def test_noEvalExecOrCompile(self) -> None:
        wrong = [
            f"{module}:{node.lineno} calls {node.func.id}"
            for module, tree in modules().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in UNSAFE_CALLS
        ]
        self.assertEqual(wrong, [])


class PlatformTests(SynchronousTestCase):
    """gamenet loads where the modules of one operating system do not exist."""

    def test_importsWithoutResourceAndFcntl(self) -> None:
        run_python(
            """
            import sys

            class Missing:
                def find_spec(self, name, path=None, target=None):
                    if name in {"resource", "fcntl"}:
                        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

            sys.meta_path.insert(0, Missing())
            for name in ("resource", "fcntl"):
                sys.modules.pop(name, None)
                try:
                    __import__(name)
                except ModuleNotFoundError:
                    pass
                else:
                    raise AssertionError(f"{name} is still there")

            import gamenet, gamenet.tap, gamenet.cli, gamenet.demo
            assert not {"resource", "fcntl"} & set(sys.modules)
            """
        )

    def test_importsWhereSignalsHaveOtherNames(self) -> None:
        run_python(
            """
            import signal

            for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1"):
                delattr(signal, name)

            import gamenet, gamenet.tap, gamenet.cli, gamenet.demo
            """
        )


def run_python(source: str) -> None:
    """Run ``source`` in a new interpreter and raise with its output unless it ends well."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
