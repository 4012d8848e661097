"""Settings of who may call the HTTP API."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Annotated, Self

import pydantic

from mrs_relay.api.access import callers
from mrs_relay.common import addresses, described

_CONFIG = pydantic.ConfigDict(frozen=True, extra="forbid")


def _checked(text: str) -> str:
    callers.read_grants(text)
    return text


GrantText = Annotated[str, pydantic.AfterValidator(_checked)]
"""Grants such as `operator@etl,viewer@*`."""

Url = Annotated[addresses.Plain, pydantic.Field(pattern=r"^https?://[^\s?#]+$")]


class TlsSettings(described.Described):
    """TLS of the HTTP API; without a certificate it speaks plain HTTP, and a proxy in front of it speaks TLS."""

    model_config = _CONFIG

    certificate: pathlib.Path | None = None
    """PEM file with the server's certificate and those of its authorities. It is read again when it changes."""

    key: pathlib.Path | None = None
    """PEM file with the certificate's private key; needed unless the file of the certificate holds it."""

    client_authorities: pathlib.Path | None = None
    """PEM file of the authorities whose client certificates are accepted; see api.access.certificates."""

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Self:
        if self.certificate is None and (self.key is not None or self.client_authorities is not None):
            raise ValueError("certificate: needed where key or client_authorities is set")
        return self


class OidcSettings(described.Described):
    """An OpenID Connect provider whose JSON Web Tokens are accepted as bearer tokens."""

    model_config = _CONFIG

    issuer: Url | None = None
    """
    Address of the provider, exactly as in the claim `iss`; https, or a loopback address. Its keys are found by
    discovery, kept for an hour and fetched again when a token names another one.
    """

    audience: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """What the claim `aud` must name. Without this check a token that was made for another service would do here."""

    claim: str = "groups"
    """The claim that says what its owner may do: a text or a list of texts. Dots lead into objects."""

    grants: Mapping[str, GrantText] = pydantic.Field(default_factory=dict)
    """
    What each value of the claim stands for, such as {data-team = "operator@etl"}; other values count for nothing.
    Without it the values themselves are read as ROLE@TENANT.
    """

    name_claim: str = "sub"
    """The claim that names the caller in messages, events and the audit trail."""

    client_id: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """How the provider calls this service. With it people log in there from the dashboard; see `redirect_uri`."""

    client_secret: pydantic.SecretStr | None = None
    """The secret of `client_id`; without one this service is a public client."""

    client_secret_file: pathlib.Path | None = None
    """File with the secret, read at each login; instead of `client_secret`."""

    redirect_uri: Annotated[str, pydantic.Field(pattern=r"^https?://[^\s/?#@]+/login/callback$")] | None = None
    """
    Where the provider sends browsers back to, such as https://mrs.example/login/callback: an address by which browsers
    know this service, and /login/callback. The provider must have it on its list; https, or a loopback address.
    """

    scope: Annotated[str, pydantic.Field(pattern=r"^openid( \S+)*$")] = "openid"
    """
    What is asked for at a login, such as "openid profile groups": the ID token must have `name_claim`, and it or the
    access token `claim`.
    """

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer is None:
            return self
        if self.audience is None:
            raise ValueError("audience: needed where issuer is set, so that tokens for other services are refused")
        if not addresses.keeps_secrets(self.issuer):
            raise ValueError("issuer: expected https://, or http:// on a loopback address: its keys must be authentic")
        if (self.client_id is None) != (self.redirect_uri is None):
            raise ValueError("client_id and redirect_uri: expected both, or neither")
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("client_secret and client_secret_file: expected one of them")
        if self.redirect_uri is not None and not addresses.keeps_secrets(self.redirect_uri):
            raise ValueError("redirect_uri: expected https://, or http:// on a loopback address: a code comes by it")
        return self


class AccessSettings(described.Described):
    """Who may call the HTTP API. Nothing set: every program of this machine, and no other caller."""

    model_config = _CONFIG

    tokens_file: pathlib.Path | None = None
    """
    File with one bearer token a line, as `mrs-relay web token` writes them; it holds only their hashes, and is read
    again when it changes.
    """

    oidc: OidcSettings = pydantic.Field(default_factory=OidcSettings)
    """OpenID Connect."""

    certificates: Mapping[str, GrantText] = pydantic.Field(default_factory=dict)
    """
    What owners of client certificates may do, by the subject as RFC 4514 writes it, such as
    {"CN=nightly,O=example" = "operator@etl"}. Needs api.tls.client_authorities.
    """

    session_key_file: pathlib.Path | None = None
    """
    File with the key that encrypts the cookies of browsers that log in, at least 32 characters; the same for all
    replicas. Several lines are several keys: the first encrypts, all decrypt. It is read at the start. Without it each
    process makes a key of its own, so that a session holds for one replica, until it ends.
    """

    session_s: Annotated[int, pydantic.Field(ge=60, le=30 * 86_400)] = 8 * 3_600
    """Seconds after which a browser must log in again."""

    @property
    def is_set(self) -> bool:
        """Whether callers must authenticate."""
        return self.tokens_file is not None or self.oidc.issuer is not None or bool(self.certificates)
