"""
The packaging of gamenet.

Two things here look odd and must stay (docs/decisions/0005-setup-py.rst):

- ``package_dir={"": "."}`` makes ``pip install -e .`` put this directory on ``sys.path`` instead
  of installing an import hook. Twisted finds plugins by walking ``sys.path`` and cannot see
  through the hook, so without this line ``twistd`` does not list gamenet in an editable install.
- Packages are listed by hand, ``twisted.plugins`` among them. Nothing under ``twisted/`` may ever
  hold an ``__init__.py``: in a wheel it would overwrite the user's Twisted.
"""

import os
import re
from pathlib import Path
from typing import Any

from setuptools import setup

HERE = Path(__file__).resolve().parent


def read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def version() -> str:
    """Return ``gamenet.__version__`` without importing gamenet, which needs Twisted."""
    found = re.search(r'^__version__ = "([^"]+)"$', read("gamenet/_version.py"), re.MULTILINE)
    if found is None:
        raise SystemExit('gamenet/_version.py has no line of the form __version__ = "1.2.3"')
    return found[1]


# The game, `gamenet play`, and what draws the net graph.
PLAY = [
    "platformdirs>=4",
    "pygame-ce>=2.5.3",
    "pytmx>=3.32",
]
TEST = [
    "pytest>=8",
    "pytest-twisted>=1.14",
    "hypothesis>=6.100",
    "pytest-randomly>=3.15",
    "pytest-xdist>=3.6",
]
DOCS = [
    "sphinx>=7.3",
    "furo",
]
# What /metrics of the status site needs.
METRICS = [
    "prometheus-client>=0.20",
]
# Not in dev, being large: `make plots` installs it.
PLOTS = [
    "matplotlib>=3.8",
]
# Of no use where it has no wheels, so not in dev: `make fuzz` installs it.
FUZZ = [
    "atheris>=3",
]
TOP = [
    "rich>=13",
]
COMPLETION = [
    "shtab>=1.7",
]
# Engines and environments of the recipes in the book; large, so not in dev:
# `make test-recipes` installs them.
RECIPES = [
    *PLAY,
    "arcade>=3.3",
    "panda3d>=1.10.15",
    "gymnasium>=1.1",
    "pettingzoo>=1.25",
    "numpy>=1.26",
    "mss>=9",
]
DEV = [
    *TEST,
    *DOCS,
    *PLAY,
    *TOP,
    *COMPLETION,
    *METRICS,
    "build>=1.2",
    "import-linter>=2.1",
    "mypy>=1.13",
    "mypy-zope>=1.0.9",
    "setuptools>=77",
    "ruff>=0.17,<0.18",  # bounded: each minor release may format differently
    "towncrier>=24.8",
]

# What every datagram goes through, as far as mypyc can compile it; docs/PERFORMANCE.rst says what
# that is worth. Counters are found by their __slots__, which a compiled class has not.
COMPILED = [
    *("budget", "client_session", "clock", "delta", "fallback", "input_timing", "inputs"),
    *("keyring", "path", "quality", "rates", "record", "reliable_half", "seat", "server_flush"),
    *(
        "server_rest",
        "server_session",
        "session",
        "state_channel",
        "stream",
        "traffic",
        "tunnel",
        "turn",
    ),
    *("window", "wire"),
]


def extensions() -> list[Any]:
    """Nothing, unless ``GAMENET_COMPILE=1``: then the hot path, compiled from the same source."""
    if os.environ.get("GAMENET_COMPILE") != "1":
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        raise SystemExit(
            "GAMENET_COMPILE=1 needs mypy here: pip install mypy setuptools, "
            "then pip install --no-build-isolation"
        ) from None
    # The paths of its own modules, as in pyproject.toml; what it imports is not compiled.
    return mypycify([f"gamenet/core/{name}.py" for name in COMPILED], opt_level="3")


setup(
    name="gamenet",
    version=version(),
    description="Game networking on Twisted: reliable TCP and low-latency UDP in one session",
    long_description=read("README.rst"),
    long_description_content_type="text/x-rst",
    author="the gamenet developers",
    license="MIT",
    license_files=["LICENSE"],
    keywords=["game", "networking", "multiplayer", "twisted", "udp", "tcp", "server"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Pytest",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Games/Entertainment",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Topic :: System :: Networking",
        "Typing :: Typed",
    ],
    package_dir={"": "."},
    packages=[
        "gamenet",
        "gamenet.core",
        "gamenet.demo",
        "gamenet.doctor",
        "gamenet.metrics",
        "gamenet.metrics.page",
        "gamenet.overlay",
        "gamenet.play",
        "gamenet.play.art",
        "gamenet.play.assets",
        "gamenet.play.scenes",
        "gamenet.smooth",
        "gamenet.testing",
        "gamenet.top",
        "twisted.plugins",
    ],
    # Of their own, because pytest loads the one in every run, and the other is there before all
    # else of the command: they must bring nothing else along.
    py_modules=["gamenet_command", "pytest_gamenet"],
    package_data={
        "gamenet": ["py.typed"],
        "gamenet.metrics.page": ["*.css", "*.html", "*.ico", "*.js", "*.png", "*.svg"],
        "gamenet.play.assets": ["*.png", "*.tmx"],
    },
    include_package_data=False,
    ext_modules=extensions(),
    zip_safe=False,
    python_requires=">=3.11",
    install_requires=[
        "Twisted[tls]>=24.11",
        "msgspec>=0.19",
        "ifaddr>=0.2",  # the networks of a machine, which Python cannot list
        "cryptography>=42",
        "pyOpenSSL>=24.3",  # takes the certificates and keys of cryptography
    ],
    extras_require={
        "play": PLAY,
        "recipes": RECIPES,
        "test": [*TEST, *METRICS, *PLAY],
        "docs": DOCS,
        "plots": PLOTS,
        "fuzz": FUZZ,
        "metrics": METRICS,
        "top": TOP,
        "completion": COMPLETION,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": ["gamenet = gamenet_command:main"],
        "pytest11": ["pytest_gamenet = pytest_gamenet"],
    },
)
