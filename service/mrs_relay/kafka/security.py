"""
Settings for the connection and login of every Kafka client of this process, and their validation.

Secrets are in the settings or in files. Files are read again for each new connection, so certificates, passwords and
tokens are rotated without a restart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, model_validator

from mrs_relay.common import addresses
from mrs_relay.kafka import group

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"]

_WITH_PASSWORD: Final = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})


class Security(group.Group):
    """The protection of each connection of this process: none, TLS, SASL or both."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka's security.protocol of the listener behind `bootstrap_servers`. A wrong one shows as a timeout at start."""

    ca_file: Path | None = None
    """PEM file with the authorities that sign the brokers' certificates; None trusts those of the system. This file and
    the next two are read again for new connections when they change."""

    cert_file: Path | None = None
    """PEM file with our own certificate, where the brokers ask for one (mutual TLS)."""

    key_file: Path | None = None
    """PEM file with the key of `cert_file`; None when that file holds both."""

    key_password: SecretStr | None = None
    """Password of the key, if it has one."""

    verify_host: bool = True
    """Whether a broker's certificate must name the host that we connect to. Huawei Cloud DMS asks clients to turn this
    off (its certificates name no hosts): then any holder of a certificate of the same authority can pose as the broker,
    and each start logs a warning."""

    mechanism: Mechanism = "SCRAM-SHA-512"
    """SASL mechanism; used only with a SASL_ protocol. PLAIN without TLS sends the password readably. OAUTHBEARER needs
    `token_endpoint` or `token_file`; GSSAPI (Kerberos, as on MRS security clusters) needs the extra `kerberos`."""

    username: str | None = None
    """SASL user of PLAIN and SCRAM; also the name on which Kafka's ACLs decide."""

    password: SecretStr | None = None
    """SASL password of PLAIN and SCRAM."""

    password_file: Path | None = None
    """File with the SASL password instead of `password`; white space at its end does not count. It is read again for
    each new connection."""

    token_endpoint: addresses.Plain | None = None
    """OAUTHBEARER: address that issues tokens for `client_id` (OAuth 2.0 client credentials, RFC 6749 section 4.4). A
    token is renewed when four fifths of its life have passed. Expected https://; http:// on the loopback address."""

    token_ca_file: Path | None = None
    """PEM file with the authorities that sign the token endpoint's certificate; None trusts those of the system."""

    token_file: Path | None = None
    """OAUTHBEARER: file with a token that something else renews, such as a projected token of Kubernetes; instead of
    `token_endpoint`. It is read again for each new connection."""

    client_id: str | None = None
    """Client id at the token endpoint."""

    client_secret: SecretStr | None = None
    """Client secret at the token endpoint."""

    client_secret_file: Path | None = None
    """File with the client secret instead of `client_secret`; read again for each token."""

    scope: str | None = None
    """Scope to ask the token endpoint for; None asks for none."""

    kerberos_service: str = Field(default="kafka", min_length=1)
    """GSSAPI: first part of the brokers' principals (Kafka's sasl.kerberos.service.name)."""

    kerberos_host: str | None = None
    """GSSAPI: second part of the brokers' principals where it is not the broker's host; on MRS security clusters it is
    `hadoop.<realm in small letters>` (Huawei's kerberos.domain.name). Our own ticket comes from the usual places of MIT
    Kerberos: KRB5_CLIENT_KTNAME names a keytab, from which tickets are renewed by themselves, KRB5CCNAME a cache."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (fault := self._fault()) is not None:
            raise ValueError(fault)
        return self

    @property
    def uses_sasl(self) -> bool:
        """Whether the protocol logs in."""
        return self.protocol.startswith("SASL_")

    def _fault(self) -> str | None:
        if self.key_file is not None and self.cert_file is None:
            return "kafka.security.key_file needs kafka.security.cert_file"
        if self.password is not None and self.password_file is not None:
            return "kafka.security.password and .password_file are both given: expected one of them"
        if self.client_secret is not None and self.client_secret_file is not None:
            return "kafka.security.client_secret and .client_secret_file are both given: expected one of them"
        if not self.uses_sasl:
            return None
        if self.mechanism in _WITH_PASSWORD and (
            self.username is None or (self.password is None and self.password_file is None)
        ):
            return f"kafka.security.protocol {self.protocol} needs kafka.security.username and .password"
        return self._token_fault() if self.mechanism == "OAUTHBEARER" else None

    def _token_fault(self) -> str | None:
        if (self.token_endpoint is None) == (self.token_file is None):
            return "kafka.security.mechanism OAUTHBEARER needs either kafka.security.token_endpoint or .token_file"
        if self.token_endpoint is None:
            return None
        if self.client_id is None or (self.client_secret is None and self.client_secret_file is None):
            return "kafka.security.token_endpoint needs kafka.security.client_id and .client_secret"
        if not addresses.keeps_secrets(self.token_endpoint):
            return "kafka.security.token_endpoint: expected an https:// address, or http:// on the loopback address"
        return None
