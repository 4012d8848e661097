"""A real Kafka behind TLS and SASL, with an authority of its own, and the settings that let a relay in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from tests.support import brokers, kerberos, ports

USER = "relay"
PASSWORD = "a-password-that-no-log-may-show"  # noqa: S105 - the tests' own
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_STRICT = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
    "allow.everyone.if.no.acl.found": "false",
}


@dataclass(frozen=True, slots=True)
class Secured:
    """
    A running node.

    Attributes:
        node: the broker; its `bootstrap` is the listener without security, for the tests themselves.
        tls: address that speaks TLS and asks for a client's certificate.
        sasl: address that speaks TLS and asks for user and password.
        ca_file: the authority that signed the broker's certificate.
        cert_file: a client's certificate with its key.
        stranger_file: an authority that has nothing to do with it.
        realm: where its Kerberos tickets come from; None: it takes none.
        server_file: its own certificate with the key.
    """

    node: brokers.KafkaNode
    tls: str
    sasl: str
    ca_file: Path
    cert_file: Path
    stranger_file: Path
    realm: kerberos.Realm | None
    server_file: Path

    def rotate(self, host: str, password: str) -> None:
        """Restart the node with papers of a new authority, for `host`; its SCRAM users get another password."""
        user = ["kafka.admin.ConfigCommand", "--alter", "--entity-type", "users", "--entity-name", USER]
        self.node.tools([*user, "--add-config", f"{kind}=[password={password}]"] for kind in _SCRAM)
        self.node.stop()
        files = {"ca": self.ca_file, "server": self.server_file, "client": self.cert_file}
        _issue(host, files)
        self.node.start()

    def settings(self, protocol: str, mechanism: str = "PLAIN", **more: str) -> dict[str, str]:
        """Return the variables, without prefix, that lead a relay to the listener."""
        given = {
            "KAFKA__BOOTSTRAP_SERVERS": self.tls if protocol == "SSL" else self.sasl,
            "KAFKA__SECURITY__PROTOCOL": protocol,
            "KAFKA__SECURITY__CA_FILE": str(self.ca_file),
        }
        if protocol == "SSL":
            given["KAFKA__SECURITY__CERT_FILE"] = str(self.cert_file)
        else:
            login = {"MECHANISM": mechanism, "USERNAME": USER, "PASSWORD": PASSWORD}
            given |= {f"KAFKA__SECURITY__{name}": value for name, value in login.items()}
        return given | more


@contextlib.contextmanager
def start(
    workdir: Path,
    host: str = "127.0.0.1",
    realm: kerberos.Realm | None = None,
) -> Iterator[Secured]:
    """
    Run a node whose certificate is for `host`; with a realm it takes Kerberos tickets, too.

    Args:
        workdir: for its files.
        host: of the certificate.
        realm: where its Kerberos tickets come from.

    Raises:
        BrokerMissing: run `make kafka` first. ChildFailed: it did not start; the message ends with its log.
    """
    files = {name: workdir / f"{name}.pem" for name in ("ca", "server", "client", "stranger")}
    trustme.CA().cert_pem.write_to_path(files["stranger"])
    _issue(host, files)
    tls, sasl = (f"127.0.0.1:{ports.free_port()}" for _ in range(2))
    scram = [f"--add-scram={kind}=[name={USER},password={PASSWORD}]" for kind in _SCRAM]
    jvm = [*brokers.QUICK_JVM] if realm is None else [*brokers.QUICK_JVM, f"-Djava.security.krb5.conf={realm.conf}"]
    node = brokers.KafkaNode(workdir, scram, jvm)
    node.add(_properties(node, tls, sasl, files) | _mechanisms(realm, [USER]))
    try:
        node.start()
        yield Secured(node, tls, sasl, files["ca"], files["client"], files["stranger"], realm, files["server"])
    finally:
        node.close()


@contextlib.contextmanager
def start_cluster(workdir: Path, users: Iterable[str]) -> Iterator[Secured]:
    """
    Run three nodes on which these users, who log in by PLAIN, may do only what ACLs allow.

    What comes of it is their first node, which may do everything without a login, and the addresses of all.

    Raises:
        BrokerMissing: run `make kafka` first. ChildFailed: one did not start; the message ends with its log.
    """
    files = {name: workdir / f"{name}.pem" for name in ("ca", "server", "client", "stranger")}
    _issue("127.0.0.1", files)
    cluster = brokers.KafkaCluster(workdir, jvm=brokers.QUICK_JVM)
    addresses = [tuple(f"127.0.0.1:{ports.free_port()}" for _ in range(2)) for _ in cluster.nodes]
    known = list(users)
    for node, (tls, sasl) in zip(cluster.nodes, addresses, strict=True):
        node.add(_properties(node, tls, sasl, files) | _mechanisms(None, known) | _STRICT)

    try:
        cluster.start()
        tls, sasl = (",".join(one) for one in zip(*addresses, strict=True))
        yield Secured(
            cluster.nodes[0], tls, sasl, files["ca"], files["client"], files["stranger"], None, files["server"]
        )
    finally:
        cluster.close()


def _issue(host: str, files: Mapping[str, Path]) -> None:
    """Write an authority, the broker's papers and a client's."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files["ca"])
    _write(authority.issue_cert(host), files["server"])
    _write(authority.issue_cert(f"{USER}@clients.test"), files["client"])


def _properties(node: brokers.KafkaNode, tls: str, sasl: str, files: dict[str, Path]) -> dict[str, str]:
    ours = f"PLAINTEXT://{node.bootstrap},SSL://{tls},SASL_SSL://{sasl}"
    kinds = ("PLAINTEXT", "SSL", "SASL_SSL")
    return {
        "listeners": f"{ours},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": ours,
        "listener.security.protocol.map": ",".join([*(f"{kind}:{kind}" for kind in kinds), "CONTROLLER:PLAINTEXT"]),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(files["server"]),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(files["ca"]),
        "listener.name.ssl.ssl.client.auth": "required",
    }


def _mechanisms(realm: kerberos.Realm | None, users: Iterable[str]) -> dict[str, str]:
    """Return how clients may log in at the SASL listener; Kafka's own validator for tests takes tokens unsigned."""
    modules = "org.apache.kafka.common.security"
    known = " ".join(f'user_{name}="{PASSWORD}"' for name in users)
    jaas = {
        "PLAIN": f"{modules}.plain.PlainLoginModule required {known};",
        **dict.fromkeys(_SCRAM, f"{modules}.scram.ScramLoginModule required;"),
        "OAUTHBEARER": f'{modules}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
    }

    if realm is not None:
        jaas["GSSAPI"] = (
            "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true "
            f'keyTab="{realm.broker_keytab}" principal="{kerberos.BROKER}";'
        )

    return {
        "sasl.enabled.mechanisms": ",".join(jaas),
        "sasl.kerberos.service.name": "kafka",
        **{f"listener.name.sasl_ssl.{kind.lower()}.sasl.jaas.config": module for kind, module in jaas.items()},
    }


def _write(issued: trustme.LeafCert, path: Path) -> None:
    """Write one file with key and certificates; Kafka takes keys as PKCS #8 only."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, form, none)
    path.write_bytes(text + b"".join(blob.bytes() for blob in issued.cert_chain_pems))
