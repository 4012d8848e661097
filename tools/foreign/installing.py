"""
Bring each client into `.cache/foreign`, and say by which command it is started.

Python clients get a virtual environment each, with all versions pinned; Java comes by Maven, Go by its module proxy.
What is there already is used again until its file of versions changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support import java

ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).parent
_PLACE = ROOT / ".cache" / "foreign"
_TRIES = 3


class NotInstalled(RuntimeError):  # noqa: N818 - named for what happened
    """A client cannot be had on this machine; the message says what is missing."""


def own_python(program: str) -> list[str]:
    """Return the command of a program that runs in this virtual environment."""
    return [sys.executable, "-m", f"tools.foreign.{program}"]


def venv(name: str, program: str, *arguments: str) -> list[str]:
    """
    Return the command of a program in a virtual environment with the packages of `requirements/{name}.txt`.

    Raises:
        NotInstalled: a package cannot be installed.
    """
    wanted = _HERE / "requirements" / f"{name}.txt"
    folder = _PLACE / name
    python = str(folder / "bin" / "python")

    def install() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
        _run([*pip, "--no-deps", "-r", str(wanted)])

    _once(folder, [wanted], install)
    return [python, "-m", f"tools.foreign.{program}", *arguments]


def jars() -> list[str]:
    """
    Return the command of the Java program, which Java compiles as it starts it.

    Raises:
        NotInstalled: there is no Java with a compiler, or Maven cannot bring the jars.
    """
    found = java.find_compiler()
    if found is None:
        raise NotInstalled(f"no Java {java.LEAST_VERSION} or newer with a compiler: install one, or set JAVA_HOME")
    folder, pom = _PLACE / "java", _HERE / "java" / "pom.xml"

    def install() -> None:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder / 'libs'}"]
        _run(["mvn", "-q", "-B", "-Dstyle.color=never", "-f", str(pom), *goal])

    _once(folder, [pom], install)
    jar = next((folder / "libs").glob("huaweicloud-sdk-mrs-*.jar"))
    version = re.sub(r"^huaweicloud-sdk-mrs-|\.jar$", "", jar.name)
    return [str(found), "-cp", f"{folder / 'libs'}/*", str(_HERE / "java" / "Driver.java"), version]


def go() -> list[str]:
    """
    Return the command of the Go program, built now if it is not there.

    Raises:
        NotInstalled: there is no Go, or its modules cannot be had.
    """
    folder, source = _PLACE / "go", _HERE / "go"
    program = folder / "client"
    _once(folder, sorted(source.iterdir()), lambda: _run(["go", "build", "-o", str(program), "."], source))
    return [str(program)]


def _once(folder: Path, sources: Sequence[Path], install: Callable[[], None]) -> None:
    """Install unless it was done for the same sources; a broken run leaves no stamp."""
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    stamp = folder / "sources.sha256"
    if stamp.exists() and stamp.read_text() == digest:
        return

    print(f"foreign: fetching {folder.name}", flush=True)
    stamp.unlink(missing_ok=True)
    install()
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)


def _run(command: Sequence[str], folder: Path = ROOT) -> None:
    for left in reversed(range(_TRIES)):
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, cwd=folder, env={**os.environ}, check=True)
        except FileNotFoundError as error:
            raise NotInstalled(f"{command[0]} is missing: install it first") from error
        except subprocess.CalledProcessError as error:
            if not left:
                raise NotInstalled(f"{' '.join(command[:4])} … failed with code {error.returncode}") from error
        else:
            return
