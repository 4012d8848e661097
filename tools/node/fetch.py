"""
Prepare other people's tools: Node packages in `.cache/node`, and programs.

The programs are kcat, MIT Kerberos with its headers, PostgreSQL, Chromium, Prometheus and `systemd-analyze`.
`make tools` calls this; it does nothing when everything is there. On Debian as root it installs programs; elsewhere it
says what to install and fails. Node.js itself is never installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import nodejs

_FILES = ("package.json", "package-lock.json", ".npmrc")
_TRIES = 3
_PROGRAMS = {
    "kcat": "kcat",
    "krb5kdc": "krb5-kdc",
    "kadmin.local": "krb5-admin-server",
    "kdb5_util": "krb5-kdc",
    "krb5-config": "libkrb5-dev",  # the headers with which pip builds gssapi
    "chromium": "chromium",  # in which the tests use the dashboard
    "promtool": "prometheus",  # checks the alert rules, and Prometheus itself scrapes a relay
    "systemd-analyze": "systemd",  # checks the units
    "pg_ctlcluster": "postgresql",  # Debian's own; the server's programs stand in a folder for each version
}
"""Name of each program and its package in Debian."""


def main() -> int:
    """Prepare what is missing; the exit code."""
    try:
        program = nodejs.require_node(fetched=False)
        npm = nodejs.require("npm", "install it with Node.js")
        wanted = hashlib.sha256(b"".join((nodejs.TOOLS / name).read_bytes() for name in _FILES)).hexdigest()
        if not nodejs.is_fetched(wanted):
            _install(npm, wanted)
        _install_programs()
    except (OSError, subprocess.SubprocessError, LookupError) as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    print(f"tools: packages in {nodejs.MODULES}, run by {program}; {', '.join(_PROGRAMS)}")
    return 0


def _install(npm: str, wanted: str) -> None:
    """Install beside the final folder and put it in place whole, so that a broken run leaves nothing behind."""
    print("tools: fetching Node packages by npm (450 MB, most of it the AsyncAPI CLI), a minute or two", flush=True)
    nodejs.FOLDER.parent.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(dir=nodejs.FOLDER.parent) as scratch:
        fresh = Path(scratch, "node")
        fresh.mkdir()
        for name in _FILES:
            shutil.copy(nodejs.TOOLS / name, fresh)

        for left in reversed(range(_TRIES)):
            done = subprocess.run(
                [npm, "ci", "--no-progress", "--loglevel=error"], cwd=fresh, stdin=subprocess.DEVNULL, check=not left
            )
            if done.returncode == 0:
                break
            print("tools: npm failed, trying again", flush=True)

        nodejs.quieten(fresh)
        (fresh / nodejs.STAMP).write_text(wanted)
        shutil.rmtree(nodejs.FOLDER, ignore_errors=True)
        fresh.rename(nodejs.FOLDER)


def _install_programs() -> None:
    """
    Install what is missing of other people's programs, if this machine lets us.

    Raises:
        LookupError: a person must install it.
    """
    places = f"{os.environ['PATH']}:/usr/sbin"
    missing = sorted({package for name, package in _PROGRAMS.items() if shutil.which(name, path=places) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise LookupError(f"missing programs: install them first (Debian: apt-get install {' '.join(missing)})")
    print(f"tools: installing {', '.join(missing)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *missing],
    ):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)


if __name__ == "__main__":
    sys.exit(main())
