"""A Kerberos realm of the tests' own: a KDC on a free port, and keytabs for the brokers and for a relay."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import child, ports

REALM = "MRS.TEST"
BROKER = f"kafka/broker.mrs.test@{REALM}"
BROKER_HOST = "broker.mrs.test"
CLIENT = f"relay@{REALM}"

_CONF = """
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
  permitted_enctypes = aes256-cts-hmac-sha1-96
[realms]
  {realm} = {{
    kdc = 127.0.0.1:{port}
    key_stash_file = {folder}/stash
  }}
[kdcdefaults]
  kdc_ports = {port}
  kdc_tcp_ports = {port}
[dbmodules]
  {realm} = {{
    database_name = {folder}/principal
    db_library = db2
  }}
"""


class KerberosMissing(RuntimeError):  # noqa: N818 - named for what is wrong
    """The programs of MIT Kerberos are not installed: run `make tools` (Debian: krb5-kdc, krb5-admin-server)."""


@dataclass(frozen=True, slots=True)
class Realm:
    """
    A running realm.

    Attributes:
        conf: its krb5.conf.
        broker_keytab: of the brokers' principal.
        client_keytab: of the relay's.
        folder: where all of it lies.
    """

    conf: Path
    broker_keytab: Path
    client_keytab: Path
    folder: Path

    def environ(self, keytab: Path | None) -> dict[str, str]:
        """Return the variables with which a client logs in by a keytab; None: it has none and no ticket either."""
        return {
            "KRB5_CONFIG": str(self.conf),
            "KRB5CCNAME": f"FILE:{self.folder / ('tickets' if keytab else 'no-tickets')}",
            "KRB5_CLIENT_KTNAME": str(keytab or self.folder / "no-keytab"),
        }


@contextlib.contextmanager
def start(workdir: Path) -> Iterator[Realm]:
    """
    Run a realm in `workdir`.

    Raises:
        KerberosMissing: run `make tools` first. ChildFailed: the KDC did not start.
    """
    programs = {name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in _PROGRAMS}
    if missing := [name for name, path in programs.items() if path is None]:
        raise KerberosMissing(f"{', '.join(missing)}: not found; run `make tools`")
    folder = workdir / "kerberos"
    folder.mkdir()
    port = ports.free_port()
    conf = folder / "krb5.conf"
    conf.write_text(_CONF.format(realm=REALM, port=port, folder=folder))
    realm = Realm(conf, folder / "broker.keytab", folder / "client.keytab", folder)
    env = {**os.environ, "KRB5_CONFIG": str(conf), "KRB5_KDC_PROFILE": str(conf)}

    def run(name: str, *arguments: str) -> None:
        command = [str(programs[name]), *arguments]
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise child.ChildFailed(f"{name} failed:\n{done.stdout}{done.stderr}")

    run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
    for name, keytab in ((BROKER, realm.broker_keytab), (CLIENT, realm.client_keytab)):
        for query in (f"addprinc -randkey {name}", f"ktadd -k {keytab} {name}"):
            run("kadmin.local", "-r", REALM, "-q", query)
    kdc = child.Child(
        [str(programs["krb5kdc"]), "-n", "-r", REALM, "-P", str(folder / "kdc.pid")],
        log=folder / "kdc.log",
        env=env,
        cwd=folder,
    )
    try:
        kdc.wait_ready(lambda: _answers(port), timeout_s=20)
        yield realm
    finally:
        kdc.kill()


_PROGRAMS = ("kdb5_util", "kadmin.local", "krb5kdc")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True
