"""
Install gamenet in every way people do, use it, remove it, and see that nothing else was touched.

Run by ``make packaging``; takes about a minute. Each way gets a fresh copy of the tree and a fresh
environment, all in a temporary folder, and is then asked the same questions: does ``twistd`` list
gamenet, does ``twist``, can it be imported and started from elsewhere, does it uninstall, and is
Twisted whole afterwards? One line per way; exit status 1 if any of them fails.

Only the first step uses pip's configured index. It gathers wheels of everything needed, and the
installs take them from there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import follow_tutorial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "twisted/plugins/gamenet_plugin.py"
MODULES = {"gamenet_command.py", "pytest_gamenet.py"}
"""What lies beside the package."""
EXTRAS = {"top": "rich", "completion": "shtab", "play": "pygame"}
"""Extras for those who use gamenet, and a module that each brings."""

# The tree, as it is laid out; what else lies in a checkout belongs to whoever put it there.
FOLDERS = [
    ".ci",
    "benchmarks",
    "docs",
    "examples",
    "gamenet",
    "newsfragments",
    "tests",
    "twisted",
]
FILES = [
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "NEWS.rst",
    "README.rst",
    "gamenet_command.py",
    "pyproject.toml",
    "pytest_gamenet.py",
    "setup.py",
]
LITTER = shutil.ignore_patterns(
    "__pycache__", "*.py[cod]", "_build", ".hypothesis", ".*_cache", "dropin.cache", ".DS_Store"
)

# Settings of the caller's environment that would leak into a clean one.
PRIVATE = re.compile(r"PYTHON(PATH|HOME|STARTUP|WARNINGS)|VIRTUAL_ENV")
INDEX = re.compile(r"(PIP|UV)_.*")


class CheckFailed(Exception):
    """Something does not hold; the text says what, and what was printed."""


def require(condition: object, text: str) -> None:
    if not condition:
        raise CheckFailed(text)


class Workshop:
    """
    A temporary folder with a copy of the tree, wheels of all it depends on, and pip and uv.

    ``wheels`` holds the dependencies, ``built`` the wheel of gamenet itself, ``elsewhere`` is an
    empty folder to run things in, far from the checkout.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.tree = home / "tree"
        self.wheels = home / "wheels"
        self.built = home / "built"
        self.elsewhere = home / "elsewhere"
        self.tools = home / "tools" / "bin"
        for folder in (self.built, self.elsewhere):
            folder.mkdir()
        clean = {name: value for name, value in os.environ.items() if not PRIVATE.fullmatch(name)}
        self.online = clean | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self.offline = {name: value for name, value in clean.items() if not INDEX.fullmatch(name)}
        self.offline |= {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
            "UV_CACHE_DIR": str(home / "uv-cache"),
            "UV_NO_CONFIG": "1",
        }

    def prepare(self) -> None:
        """Copy the tree, build the wheel, fetch the rest."""
        self.copy_tree(self.tree)
        project = tomllib.loads((self.tree / "pyproject.toml").read_text(encoding="utf-8"))
        needed_to_build = project["build-system"]["requires"]
        self.run([sys.executable, "-m", "venv", self.tools.parent])
        pip_wheel = [*self.pip(), "wheel", "--quiet", "--wheel-dir", self.wheels]
        self.run([*pip_wheel, self.copy_tree(self.home / "for-wheel")], online=True)
        (wheel,) = self.wheels.glob("gamenet-*.whl")
        wheel.rename(self.built / wheel.name)
        extras = f"{self.wheel()}[{','.join(EXTRAS)}]"
        self.run([*pip_wheel, *needed_to_build, "uv", "mypy", extras], online=True)
        self.run([*self.pip(), "install", "--quiet", *needed_to_build, "uv"])

    def copy_tree(self, target: Path) -> Path:
        target.mkdir(parents=True)
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, target / folder, ignore=LITTER)
        for file in FILES:
            shutil.copy2(ROOT / file, target)
        return target

    def tree_files(self) -> set[str]:
        return {
            path.relative_to(self.tree).as_posix()
            for path in self.tree.rglob("*")
            if path.is_file()
        }

    def wheel(self) -> Path:
        (wheel,) = self.built.glob("gamenet-*.whl")
        return wheel

    def pip(self, environment: Path | None = None) -> list[str | Path]:
        """Return the command line of pip, working on ``environment``."""
        return [self.tools / "python", "-m", "pip"] + (
            ["--python", environment / "bin" / "python"] if environment else []
        )

    def run(
        self, command: Iterable[str | Path], *, cwd: Path | None = None, online: bool = False
    ) -> str:
        """Run ``command`` far from the checkout; return all it printed, or raise with it."""
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd or self.elsewhere,
            env=self.online if online else self.offline,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise CheckFailed(
                f"exit status {done.returncode} from: {' '.join(words)}\n{done.stdout.strip()}"
            )
        return done.stdout


# ------------------------------------------------------------------------------ what is built


def check_wheel(shop: Workshop) -> None:
    """The wheel holds gamenet and one plugin file, and nothing that belongs to Twisted."""
    names = set(zipfile.ZipFile(shop.wheel()).namelist())
    for fatal in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
        require(fatal not in names, f"the wheel holds {fatal}: installing it would break Twisted")
    require(PLUGIN in names, f"the wheel lacks {PLUGIN}")
    packaged = {name for name in names if not re.match(r"gamenet-[^/]+\.dist-info/", name)}
    expected = {name for name in shop.tree_files() if name.startswith("gamenet/")}
    expected |= {PLUGIN, *MODULES}
    require(packaged == expected, f"the wheel and the tree differ: {sorted(packaged ^ expected)}")
    licence = [name for name in names if name.endswith("/LICENSE")]
    require(licence, "the wheel holds no LICENSE")


def check_sdist(shop: Workshop) -> None:
    """The source distribution holds the whole tree, and the same wheel comes out of it."""
    build_sdist = "import sys, setuptools.build_meta as b; b.build_sdist(sys.argv[1])"
    build_wheel = "import sys, setuptools.build_meta as b; b.build_wheel(sys.argv[1])"
    python = shop.tools / "python"
    source = shop.copy_tree(shop.home / "for-sdist")
    out = shop.home / "sdist"
    out.mkdir()
    shop.run([python, "-c", build_sdist, out], cwd=source)
    (archive,) = out.glob("gamenet-*.tar.gz")
    shutil.unpack_archive(archive, out)
    unpacked = out / archive.name.removesuffix(".tar.gz")
    inside = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}
    missing = shop.tree_files() - inside
    require(not missing, f"the source distribution lacks {sorted(missing)}")
    added = {name for name in inside - shop.tree_files() if ".egg-info/" not in name}
    require(added <= {"PKG-INFO", "setup.cfg"}, f"the source distribution adds {sorted(added)}")
    shop.run([python, "-c", build_wheel, out], cwd=unpacked)
    (rebuilt,) = out.glob("gamenet-*.whl")
    same = set(zipfile.ZipFile(rebuilt).namelist()) == set(zipfile.ZipFile(shop.wheel()).namelist())
    require(same, "the wheel built from the source distribution has other files")


CONSUMER = """
import gamenet


class Move(gamenet.Message):
    x: float
    y: float


@gamenet.game(game_name="typed/1", messages=(Move,))
def main(server: gamenet.GameServer) -> None:
    for tick in server.ticks():
        for event in tick.events:
            match event:
                case gamenet.Received(player, Move(x, y)):
                    server.send(player, Move(x + tick.dt, y))
                case gamenet.Input(player, number, buttons):
                    server.send_state(player, (number + buttons).to_bytes(8, "big"))
                case gamenet.Left(player, reason):
                    print(player.name, reason.name, server.quality(player).rtt_seconds)


def play(address: str) -> float:
    with gamenet.GameClient(address, messages=(Move,)) as client:
        number: int = client.send_input(3)
        client.send(Move(1.0, 2.0))
        state = client.take_state()
        return float(number) + (0.0 if state is None else state.server_time)
"""
MISTAKES = {
    "client.send_input(3)": 'client.send_input("3")',
    "server.send(player,": "server.send(player.name,",
    "state.server_time": "state.time",
}
"""What a type checker must find."""


def check_typed(shop: Workshop) -> None:
    """Who uses gamenet gets its types: ``mypy --strict`` over a program of theirs says so."""
    environment = shop.home / "consumer"
    shop.run([sys.executable, "-m", "venv", "--without-pip", environment])
    shop.run([*shop.pip(environment), "install", shop.wheel(), "mypy"])
    folder = shop.home / "consumers"
    folder.mkdir()
    mypy = [environment / "bin" / "python", "-m", "mypy", "--strict", "--no-incremental"]
    program = folder / "program.py"
    program.write_text(CONSUMER, encoding="utf-8")
    shop.run([*mypy, program])
    spoiled = CONSUMER
    for right, wrong in MISTAKES.items():
        require(CONSUMER.count(right) == 1, f"the program has no {right}")
        spoiled = spoiled.replace(right, wrong)
    program.write_text(spoiled, encoding="utf-8")
    try:
        shop.run([*mypy, program])
    except CheckFailed as failed:
        require(f"Found {len(MISTAKES)} errors" in str(failed), str(failed))
    else:
        raise CheckFailed(f"nobody told that these are wrong: {list(MISTAKES.values())}")


def check_extras(shop: Workshop) -> None:
    """Each extra of users installs, and brings what it is for."""
    environment = shop.home / "extras"
    shop.run([sys.executable, "-m", "venv", "--without-pip", environment])
    names = ",".join(EXTRAS)
    shop.run([*shop.pip(environment), "install", f"{shop.wheel()}[{names}]"])
    for module in EXTRAS.values():
        shop.run([environment / "bin" / "python", "-c", f"import {module}"])


def check_tutorial(shop: Workshop) -> None:
    """Somebody who does what the tutorial says, and nothing else, has a game for two."""
    home = shop.home / "reader"
    home.mkdir()
    environment = shop.offline | {
        "PIP_FIND_LINKS": f"{shop.wheels} {shop.built}",
        "PIP_NO_COMPILE": "1",  # quicker: most of it is never imported
    }
    try:
        follow_tutorial.follow(home, environment)
    except AssertionError as failed:
        raise CheckFailed(str(failed)) from None


# ---------------------------------------------------------------------------- how it installs


def install_wheel(shop: Workshop, environment: Path, tree: Path) -> None:
    shop.run([*shop.pip(environment), "install", shop.wheel()])


def install_with_pip(shop: Workshop, environment: Path, tree: Path) -> None:
    shop.run([*shop.pip(environment), "install", "."], cwd=tree)


def install_editable(shop: Workshop, environment: Path, tree: Path) -> None:
    shop.run([*shop.pip(environment), "install", "-e", "."], cwd=tree)


def install_editable_unisolated(shop: Workshop, environment: Path, tree: Path) -> None:
    shop.run([*shop.pip(environment), "install", "setuptools"])
    shop.run([*shop.pip(environment), "install", "--no-build-isolation", "-e", "."], cwd=tree)


def uv_pip(shop: Workshop, verb: str, environment: Path) -> list[str | Path]:
    offline = ["--no-index", "--find-links", shop.wheels] if verb == "install" else []
    return [shop.tools / "uv", "pip", verb, "--python", environment / "bin" / "python", *offline]


def install_with_uv(shop: Workshop, environment: Path, tree: Path) -> None:
    shop.run([*uv_pip(shop, "install", environment), "."], cwd=tree)


def install_editable_with_uv(shop: Workshop, environment: Path, tree: Path) -> None:
    shop.run([*uv_pip(shop, "install", environment), "-e", "."], cwd=tree)


WAYS = {
    "pip install gamenet.whl": install_wheel,
    "pip install .": install_with_pip,
    "pip install -e .": install_editable,
    "pip install --no-build-isolation -e .": install_editable_unisolated,
    "uv pip install .": install_with_uv,
    "uv pip install -e .": install_editable_with_uv,
}


def check_way(shop: Workshop, way: str) -> None:
    """Install in one way, use, uninstall, and look for what is left."""
    place = shop.home / re.sub(r"\W+", "-", way)
    environment = place / "env"
    tree = shop.copy_tree(place / "tree")
    shop.run([sys.executable, "-m", "venv", "--without-pip", environment])
    WAYS[way](shop, environment, tree)
    check_installed(shop, environment)
    if way.startswith("uv "):
        shop.run([*uv_pip(shop, "uninstall", environment), "gamenet"])
    else:
        shop.run([*shop.pip(environment), "uninstall", "--yes", "gamenet"])
    check_removed(shop, environment)


def commands_of(shop: Workshop, program: Path) -> set[str]:
    """Return the commands that ``twistd --help`` or ``twist --help`` lists."""
    _, _, commands = shop.run([program, "--help"]).partition("\nCommands:\n")
    return set(re.findall(r"^ {4}(\S+)", commands, re.MULTILINE))


def check_installed(shop: Workshop, environment: Path) -> None:
    bin_folder = environment / "bin"
    for program in ("twistd", "twist"):
        commands = commands_of(shop, bin_folder / program)
        require("web" in commands, f"{program} lists none of Twisted's own commands")
        require("gamenet" in commands, f"{program} --help does not list gamenet")
        shop.run([bin_folder / program, "gamenet", "--help"])
    shop.run([bin_folder / "gamenet", "--help"])
    shop.run([bin_folder / "python", "-c", "import gamenet; gamenet.__version__"])
    found = (
        "from importlib.metadata import entry_points as e; (p,) = e(group='pytest11', "
        "name='pytest_gamenet'); assert p.value == 'pytest_gamenet'"
    )
    shop.run([bin_folder / "python", "-c", found])


def check_removed(shop: Workshop, environment: Path) -> None:
    bin_folder = environment / "bin"
    for program in ("twistd", "twist"):
        commands = commands_of(shop, bin_folder / program)
        require("web" in commands, f"{program} lists none of Twisted's own commands any more")
        require("gamenet" not in commands, f"{program} still lists gamenet after uninstalling")
    gone = "import importlib.util as u, sys; sys.exit(u.find_spec('gamenet') is not None)"
    shop.run([bin_folder / "python", "-c", gone])
    left = [
        str(path.relative_to(environment))
        for path in environment.rglob("*gamenet*")
        # What Python has cached of a module beside the packages: uv does not take it along.
        if not (path.suffix == ".pyc" and path.parent.parent.name == "site-packages")
    ]
    require(not left, f"left behind after uninstalling: {left}")


# -------------------------------------------------------------------------------------- run it


def report(name: str, check: Callable[[], None]) -> bool:
    """Run one check and print its line; return whether it held."""
    start = time.monotonic()
    try:
        check()
    except (CheckFailed, OSError) as failed:
        print(f"FAILED  {name}\n{failed}", flush=True)
        return False
    print(f"ok      {name}  ({time.monotonic() - start:.1f} s)", flush=True)
    return True


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="gamenet-installs-") as home:
        shop = Workshop(Path(home))
        if not report("build the wheel, gather its dependencies", shop.prepare):
            return 1
        checks: dict[str, Callable[[], None]] = {
            "contents of the wheel": partial(check_wheel, shop),
            "contents of the source distribution": partial(check_sdist, shop),
            "types, for a program of somebody else's": partial(check_typed, shop),
            "extras": partial(check_extras, shop),
            "the tutorial, followed to the letter": partial(check_tutorial, shop),
        }
        for way in WAYS:
            checks[way] = partial(check_way, shop, way)
        with ThreadPoolExecutor(max_workers=2) as pool:
            held = list(pool.map(report, checks, checks.values()))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
