"""
Who we are, behind one protocol: `KeySigner` for an AK/SK pair, lasting or temporary.

A signer for IAM tokens fits the same protocol: it keeps its token fresh in the background, answers `headers` from
memory and fetches a new token in `renew`.
"""

from __future__ import annotations

import time
from typing import Protocol

from mrs_relay.kit import clock
from mrs_relay.mrs import settings, signing

CONTENT_TYPE = "application/json"
"""Sent with every call, body or not. Source: v2 reference, required headers."""


class Signer(Protocol):
    """Proves to MRS who is calling."""

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """
        All headers that the call needs for its identity, Host and Content-Type included; never waits.

        Args:
            verb: HTTP verb in upper case.
            path: path as the URL carries it.
            query: canonical query as the URL carries it, or "".
            body: the bytes that will be sent.
        """

    async def renew(self) -> bool:
        """Get new credentials after MRS refused the present ones; False when there is no way to get others."""


class KeySigner:
    """
    Signs with an AK/SK pair; sends the security token of a temporary one.

    Args:
        group: the connection's settings.
        now: the clock; MRS refuses a date more than 15 minutes away from its own.
    """

    def __init__(self, group: settings.MrsSettings, now: clock.Clock) -> None:
        self._key = signing.Key(group.access_key, group.secret_key.get_secret_value())
        self._clock = now
        self._fixed = {"Content-Type": CONTENT_TYPE, "Host": group.host, "X-Project-Id": group.project_id}
        if group.security_token is not None:
            self._fixed["X-Security-Token"] = group.security_token.get_secret_value()
        self._second = -1
        self._headers: dict[str, str] = {}
        self._signed = signing.SignedHeaders("", "", "")

    def headers(self, verb: str, path: str, query: str, body: bytes) -> dict[str, str]:
        """The signed headers and their signature."""
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._start(second)
        canonical = signing.canonical_request(verb, path, query, self._signed, body)
        return {**self._headers, "Authorization": signing.authorization(self._key, self._signed, canonical)}

    async def renew(self) -> bool:
        """There are no others: False."""
        return False

    def _start(self, second: int) -> None:
        """Prepare what all calls of this second have in common."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        self._headers = {**self._fixed, "X-Sdk-Date": date}
        self._signed = signing.SignedHeaders.of(self._headers)
        self._second = second
