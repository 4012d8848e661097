"""Node.js and the packages that `make tools` fetches: and what to do when they are missing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
TOOLS = _ROOT / "tools" / "node"
FOLDER = _ROOT / ".cache" / "node"
MODULES = FOLDER / "node_modules"
STAMP = "packages.sha256"
LEAST_VERSION = 20


class ToolMissing(LookupError):  # noqa: N818 - named for what happened
    """A tool is not on this machine; the message says which command brings it."""


def require_node(*, fetched: bool = True) -> str:
    """
    Return the path of Node.js.

    Args:
        fetched: the packages must be there, too.

    Raises:
        ToolMissing: Node.js is missing or too old, or the packages are missing.
    """
    found = shutil.which("node")
    version = 0 if found is None else _major(found)
    if found is None or version < LEAST_VERSION:
        what = f"Node.js {version} is too old" if version else "Node.js is missing"
        raise ToolMissing(f"{what}: install version {LEAST_VERSION} or newer with npm first")
    if fetched and not (FOLDER / STAMP).is_file():
        raise ToolMissing(f"no Node packages in {FOLDER}: run `make tools`")
    return found


def require(program: str, remedy: str = "run `make tools`") -> str:
    """
    Return the path of another program.

    Raises:
        ToolMissing: it is not there; the message ends with `remedy`.
    """
    if found := shutil.which(program):
        return found
    raise ToolMissing(f"no {program} on the search path: {remedy}")


def is_fetched(wanted: str) -> bool:
    """Return whether the packages are those of this stamp."""
    stamp = FOLDER / STAMP
    return stamp.is_file() and stamp.read_text() == wanted


def environment() -> Mapping[str, str]:
    """Return what Node programs run in: a home of their own, no call to the outside."""
    return {**os.environ, "HOME": str(FOLDER), "SUPPRESS_NO_CONFIG_WARNING": "1", "NO_COLOR": "1"}


def quieten(folder: Path) -> None:
    """Tell the AsyncAPI CLI, whose home `folder` will be, to report nothing to its makers."""
    reported = {"analyticsEnabled": "false", "infoMessageShown": "true", "userID": "none"}
    (folder / ".asyncapi-analytics").write_text(json.dumps(reported))


def run(*words: str, timeout_s: float = 120.0) -> tuple[int, str]:
    """Run a Node program that finds the fetched packages; exit code and everything it printed."""
    done = subprocess.run(
        [require_node(), *words],
        cwd=FOLDER,
        env=dict(environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, done.stdout


def _major(program: str) -> int:
    try:
        output = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", output)
    return int(found[1]) if found else 0
