"""The image's recipe, as far as it can be followed without an engine to build it."""

from __future__ import annotations

import fnmatch
import json
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

from twisted.scripts.twistd import ServerOptions

from gamenet.certificates import make_certificate
from gamenet.config import ServerConfig
from tests.certificates import write
from tests.live.daemon import HANGS_SECONDS, ROOT, Daemon, environment

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = ROOT / "docs" / "deploy"
RECIPE = DEPLOY / "Dockerfile"
RECORDS = "/var/lib/gamenet"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the recipe, with what follows it on one line."""
    lines = [line for line in RECIPE.read_text().splitlines() if not line.startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    found = (line.partition(" ") for line in whole.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in found]


def last(word: str) -> str:
    """What the last instruction of a kind says."""
    return [rest for kind, rest in instructions() if kind == word][-1]


def command(word: str) -> list[str]:
    """A command in exec form: no shell stands between the engine and the process."""
    text = last(word)
    words = json.loads(text[text.index("[") :])
    assert all(isinstance(each, str) for each in words)
    return list(words)


def patterns() -> list[str]:
    """What the context of the build leaves out, or with ``!`` does not."""
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_itHasTwoStagesAndEndsAsNobody() -> None:
    words = [word for word, _ in instructions()]
    assert words.count("FROM") == 2
    final = words[len(words) - words[::-1].index("FROM") :]
    assert final.index("USER") < final.index("ENTRYPOINT")
    user, _, group = last("USER").partition(":")
    assert (int(user), int(group)) == (10_001, 10_001)
    assert last("STOPSIGNAL") == "SIGTERM"
    assert set(last("EXPOSE").split()) == {"7777/tcp", "7777/udp"}
    assert ServerConfig(insecure=True).listen == 7777


def test_whatItRunsCanBeRun(tmp_path: Path, monkeypatch: Any) -> None:
    files = write(tmp_path, make_certificate(["localhost"]))
    ours = {
        "/run/secrets/cert.pem": files.cert,
        "/run/secrets/key.pem": files.key,
        RECORDS: str(tmp_path),
    }
    program, *arguments = command("ENTRYPOINT") + command("CMD")
    assert program == "twistd"
    assert set(ours) <= set(arguments)
    monkeypatch.setattr(sys, "path", list(sys.path))
    options = ServerOptions()
    options.parseOptions([ours.get(each, each) for each in arguments])
    assert (options["nodaemon"], options["pidfile"]) == (1, "")
    plan = options.subOptions.plan
    assert plan.config.record_dir == str(tmp_path)
    # Where records go, the user of the image may write.
    assert f"-o 10001 -g 10001 -m 0700 {RECORDS}" in last("RUN")
    assert last("VOLUME") == RECORDS
    # What the health check asks is there, and nobody outside of the container can.
    assert (plan.status.interface, plan.status.port) == ("127.0.0.1", 9777)
    assert "'127.0.0.1', 9777" in command("HEALTHCHECK")[-1]


def test_theHealthCheckTellsALivingServer(tmp_path: Path) -> None:
    program, *arguments = command("HEALTHCHECK")
    assert program == "python"

    def check(port: str) -> int:
        asked = [each.replace("9777", port) for each in arguments]
        done = subprocess.run(
            [sys.executable, *asked], capture_output=True, timeout=HANGS_SECONDS, check=False
        )
        return done.returncode

    with Daemon(tmp_path) as daemon:
        port = daemon.status.rpartition(":")[2]
        assert check(port) == 0
    assert check(port) == 1


def test_whatIsBuiltFromIsEnoughAndNoMore(tmp_path: Path) -> None:
    ignored, *rest = patterns()
    assert ignored == "*"
    taken = [each[1:] for each in rest if each.startswith("!")]
    left_out = [each.removeprefix("**/") for each in rest if not each.startswith("!")]
    assert "*.pem" in left_out

    def skip(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if any(fnmatch.fnmatch(name, each) for each in left_out)]

    for name in taken:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=skip)
        else:
            shutil.copy(source, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "made"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "made").iterdir()
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"gamenet/tap.py", "gamenet/py.typed", "twisted/plugins/gamenet_plugin.py"} <= names
    assert not any(name.endswith(".pem") for name in names)
