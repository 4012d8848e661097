"""A real PostgreSQL for tests, from the packages that `make tools` installs: fresh, on loopback, without a password."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator

from tests.support import child, ports

_PLACES = "/usr/lib/postgresql/*/bin"  # Debian's, one folder for each version
_READY_S = 60.0


class PostgresMissing(RuntimeError):  # noqa: N818 - named for what is the case
    """There is no PostgreSQL on this machine."""


def _program(name: str) -> str:
    """
    Return the path of the newest version of a program.

    Raises:
        PostgresMissing: it is not there.
    """
    root = pathlib.Path("/")
    found = sorted(root.glob(f"{_PLACES[1:]}/{name}"), key=lambda path: float(path.parent.parent.name))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise PostgresMissing(f"{name} is not there: run `make tools` (Debian: apt-get install postgresql)")
    return program


def _as_owner(command: list[str]) -> list[str]:
    """Run as the owner of the files: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


@contextlib.contextmanager
def running(log: pathlib.Path) -> Iterator[str]:
    """Start a server of one's own; yields the address of its database, `postgresql://…`."""
    with tempfile.TemporaryDirectory(prefix="mrs-relay-pg-", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data, port = f"{folder}/data", ports.free_port()
        initdb = [_program("initdb"), "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(_as_owner(initdb), check=True, stdout=subprocess.DEVNULL, cwd=folder)

        options = ["-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
        server = child.Child(_as_owner([_program("postgres"), "-D", data, *options]), log=log, cwd=pathlib.Path(folder))
        try:
            server.wait_ready(lambda: _answers(port), timeout_s=_READY_S)
            yield f"postgresql://tests@127.0.0.1:{port}/postgres"
        finally:
            server.send(signal.SIGINT)  # ends its sessions and itself
            if server.wait(20.0) is None:
                server.kill()


def _answers(port: int) -> bool:
    """Return whether the server speaks its protocol: it answers a request for TLS by one byte, also while it starts."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as one:
            one.sendall(b"\0\0\0\x08\x04\xd2\x16/")
            return one.recv(1) in {b"N", b"S"}
    except OSError:
        return False
