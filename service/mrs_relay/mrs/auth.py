"""
Sign calls, behind one protocol: `KeySigner` for an AK/SK pair, lasting or temporary, `TokenSigner` for an IAM token.

Both hold fixed credentials; `credentials.Keeper` is a signer that gets and renews the credentials of these two.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import pydantic

from mrs_relay.common import clock
from mrs_relay.mrs import signing

CONTENT_TYPE = "application/json"
"""Sent with every call, body or not. Source: v2 reference, required headers."""

_ACCOUNT_WIDE: Final = ""


class Signer(Protocol):
    """Prove the caller's identity and project to MRS."""

    @property
    def project_id(self) -> str | None:
        """Id of the project; None when `prepare` must come first."""

    @property
    def keys(self) -> Keys | None:
        """The key pair of the moment, for other services of the cloud; None when there is none, or not yet."""

    async def prepare(self, timeout_s: float) -> str:
        """
        Get missing credentials and return the project id; returns at once when nothing is missing.

        Raises:
            MrsError: there are no credentials, or not within `timeout_s` seconds; nothing was sent to MRS.
        """

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """
        Return all headers that identify the caller, with Host and Content-Type; never waits.

        Args:
            verb: HTTP verb in upper case.
            path: path as the URL carries it.
            query: canonical query as the URL carries it, or "".
            body: the bytes that will be sent.
        """

    async def renew(self) -> bool:
        """Get new credentials after MRS refused the present ones; returns False if there are no others."""


@dataclass(frozen=True, slots=True)
class Keys:
    """
    A key pair; its repr shows nothing secret.

    Attributes:
        access: access key id (AK).
        secret: secret access key (SK).
        token: security token of a temporary pair.
    """

    access: str
    secret: pydantic.SecretStr
    token: pydantic.SecretStr | None = None


class KeySigner:
    """
    Sign with an AK/SK pair; sends the security token of a temporary one.

    Args:
        keys: the pair.
        host: value of the Host header.
        project_id: the project; "" for calls that belong to none.
        now: the clock; MRS refuses a date more than 15 minutes off its own.
    """

    def __init__(self, keys: Keys, host: str, project_id: str, now: clock.Clock) -> None:
        self.project_id: str | None = project_id
        self.keys: Keys | None = keys
        self._key = signing.Key(keys.access, keys.secret.get_secret_value())
        self._clock = now
        self._fixed = _fixed(host, project_id)
        if keys.token is not None:
            self._fixed["X-Security-Token"] = keys.token.get_secret_value()
        self._second = -1
        self._headers: dict[str, str] = {}
        self._signed = signing.SignedHeaders("", "", "")

    async def prepare(self, timeout_s: float) -> str:  # noqa: ARG002 - nothing is missing
        """Return the project id."""
        return self.project_id or _ACCOUNT_WIDE

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """Return the signed headers and their signature."""
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._start(second)
        canonical = signing.canonical_request(verb, path, query, self._signed, body)
        return {**self._headers, "Authorization": signing.authorization(self._key, self._signed, canonical)}

    async def renew(self) -> bool:
        """Return False: there are no other keys."""
        return False

    def _start(self, second: int) -> None:
        """Prepare the headers that all calls of this second share."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        self._headers = {**self._fixed, "X-Sdk-Date": date}
        self._signed = signing.SignedHeaders.of(self._headers)
        self._second = second


class TokenSigner:
    """
    Send an IAM token.

    Args:
        token: the token.
        host: value of the Host header.
        project_id: the project that the token is scoped to; "" for calls that belong to none.
    """

    def __init__(self, token: pydantic.SecretStr, host: str, project_id: str) -> None:
        self.project_id: str | None = project_id
        self.keys: Keys | None = None
        self._headers = {**_fixed(host, project_id), "X-Auth-Token": token.get_secret_value()}

    async def prepare(self, timeout_s: float) -> str:  # noqa: ARG002 - nothing is missing
        """Return the project id."""
        return self.project_id or _ACCOUNT_WIDE

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:  # noqa: ARG002 - no signature
        """Return the same headers for every call."""
        return dict(self._headers)

    async def renew(self) -> bool:
        """Return False: a token does not renew itself."""
        return False


def secrets_of(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield what headers show to prove who we are; only a call that fails asks for it."""
    for name in ("Authorization", "X-Auth-Token", "X-Security-Token"):
        shown = headers.get(name)
        if shown is not None:
            yield shown
            if "Signature=" in shown:
                yield shown.rpartition("Signature=")[2]


def _fixed(host: str, project_id: str) -> dict[str, str]:
    headers = {"Content-Type": CONTENT_TYPE, "Host": host}
    return {**headers, "X-Project-Id": project_id} if project_id else headers
