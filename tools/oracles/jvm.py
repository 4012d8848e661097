"""Engines that run on Java: their jars by Maven, their programs compiled, a process with its lines."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
from typing import IO, Self

_HERE = pathlib.Path(__file__).parent
_OPENED = [
    "java.io",
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.math",
    "java.net",
    "java.nio",
    "java.security",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.regex",
    "sun.nio.ch",
]
_OPTIONS = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
"""Both engines were written for Java 8, and look inside Java's own classes."""


class Program:
    """
    A program in Java under way; leave the block to end it.

    Args:
        folder: the folder beside this file with `pom.xml` and the sources.
        cache: where its jars and classes are kept.
        command: main class and arguments; `{jars}` and `{classes}` stand for the two folders.
        log: where what it prints beside its answers is written.
    """

    def __init__(self, folder: str, cache: pathlib.Path, command: list[str], log: pathlib.Path) -> None:
        jars, classes = _prepared(_HERE / folder, cache)
        known = {"jars": str(jars), "classes": str(classes)}
        self._log = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            ["java", *_OPTIONS, "-Duser.timezone=UTC", *(part.format(**known) for part in command)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream(self._process.stdin).close()
        self._process.wait(60)
        self._log.close()

    def line(self, sent: str | None = None) -> str:
        """
        Return the next line that it prints, after one that is sent to it.

        Raises:
            EOFError: it has ended; its log says why.
        """
        if sent is not None:
            asked = self._stream(self._process.stdin)
            asked.write(sent + "\n")
            asked.flush()
        found = self._stream(self._process.stdout).readline()
        if not found:
            raise EOFError(f"the program has ended: see {self._log.name}")
        return found.rstrip("\n")

    @staticmethod
    def _stream(found: IO[str] | None) -> IO[str]:
        assert found is not None
        return found


def _prepared(folder: pathlib.Path, cache: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Return the folders of the jars and of the compiled classes."""
    jars, classes = cache / "jars", cache / "classes"
    if not jars.exists():
        fresh = cache / "jars.fresh"  # a run that is cut short leaves no folder that looks whole
        shutil.rmtree(fresh, ignore_errors=True)
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh.resolve()}"]
        subprocess.run(["mvn", "-q", "-B", "-f", folder / "pom.xml", *goal], check=True)  # noqa: S607
        fresh.rename(jars)
    sources = sorted(folder.glob("*.java"))
    compiler = ["javac", "-nowarn", "-proc:none", "-cp", f"{jars}/*", "-d", str(classes)]
    subprocess.run([*compiler, *sources], check=True)
    return jars, classes
