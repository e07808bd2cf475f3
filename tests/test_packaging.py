"""
What the package must hold, as far as it shows without installing it.

``tests/packaging/check_installs.py``, which ``make check`` runs, installs it in all six ways.
"""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent


def setup_arguments() -> dict[str, Any]:
    """Run setup.py with a setuptools that only takes note, and return what it was given."""
    given: dict[str, Any] = {}
    with patch.dict(sys.modules, setuptools=SimpleNamespace(setup=given.update)):
        runpy.run_path(str(ROOT / "setup.py"))
    return given


class PackageTests(SynchronousTestCase):
    def test_packagesAreThoseOnDisk(self) -> None:
        on_disk = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in ROOT.glob("gamenet/**/__init__.py")
        }
        self.assertEqual(set(setup_arguments()["packages"]), on_disk | {"twisted.plugins"})

    def test_everyFolderWithModulesIsAPackage(self) -> None:
        folders = {path.parent for path in ROOT.glob("gamenet/**/*.py")}
        self.assertEqual([str(f) for f in folders if not (f / "__init__.py").exists()], [])

    def test_everyDataFileIsPackaged(self) -> None:
        package_data = setup_arguments()["package_data"]
        missing = [
            str(path.relative_to(ROOT))
            for path in ROOT.glob("gamenet/**/*")
            if path.is_file() and path.suffix not in {".py", ".pyc", ".so", ".pyd"}
            if not any(
                fnmatch(path.name, pattern)
                for pattern in package_data.get(".".join(path.parent.relative_to(ROOT).parts), [])
            )
        ]
        self.assertEqual(missing, [])

    def test_packageDirKeepsEditableInstallsVisibleToTwisted(self) -> None:
        self.assertEqual(setup_arguments()["package_dir"], {"": "."})

    def test_versionIsReadWithoutImporting(self) -> None:
        version = runpy.run_path(str(ROOT / "gamenet/_version.py"))["__version__"]
        self.assertEqual(setup_arguments()["version"], version)


class PluginTests(SynchronousTestCase):
    def test_nothingUnderTwistedIsAPackage(self) -> None:
        """An ``__init__.py`` there would overwrite the user's Twisted when installed."""
        files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("twisted/**/*.py")}
        self.assertEqual(files, {"twisted/plugins/gamenet_plugin.py"})

    def test_pluginIsOneServiceMakerAndImportsNothingElse(self) -> None:
        tree = ast.parse((ROOT / "twisted/plugins/gamenet_plugin.py").read_text(encoding="utf-8"))
        docstring, an_import, maker = tree.body
        self.assertIsInstance(docstring, ast.Expr)
        self.assertEqual(
            ast.unparse(an_import), "from twisted.application.service import ServiceMaker"
        )
        assert isinstance(maker, ast.Assign)
        self.assertEqual(ast.unparse(maker.targets[0]), "gamenet")
        assert isinstance(maker.value, ast.Call)
        arguments = [ast.literal_eval(argument) for argument in maker.value.args]
        self.assertEqual([*arguments[:2], arguments[3]], ["gamenet", "gamenet.tap", "gamenet"])
        self.assertEqual(len(arguments), 4)


class NewsTests(SynchronousTestCase):
    def test_fragmentsHaveNamesThatTowncrierReads(self) -> None:
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        types = "|".join(kind["directory"] for kind in settings["tool"]["towncrier"]["type"])
        well_named = re.compile(rf"(\d+|\+[a-z0-9_-]+)\.({types})(\.\d+)?\.rst")
        wrong = [
            path.name
            for path in (ROOT / "newsfragments").iterdir()
            if path.name != "README.rst" and not well_named.fullmatch(path.name)
        ]
        self.assertEqual(wrong, [])
