"""Who calls OBS: the emulator's keys, by AWS's signature of version 4 or 2 or by OBS's own, in headers or presigned."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from mrs_emulator.iam import accounts
from mrs_emulator.obs import chunks, errors, own_signature, v4, wire

SKEW_MS = 15 * 60 * 1000
"""Milliseconds that the date of a request may differ from the server's clock."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """
    A request whose signature is right.

    Attributes:
        prefix: how the headers of its reply begin, x-obs- or x-amz-.
        owner: the account that the key belongs to.
        payload: the hash that the body must have, in hex; None when nothing is said of it.
        framing: how a body in chunks is taken apart; None for a plain one.
    """

    prefix: str
    owner: str
    payload: str | None = None
    framing: chunks.Framing | None = None


class Gate:
    """
    Admits signed requests.

    Args:
        known: the keys.
        checks: False admits requests without a signature.
        owner: the account that then owns everything.
    """

    def __init__(self, known: accounts.Accounts, owner: str, *, checks: bool) -> None:
        self._known = known
        self._owner = owner
        self._checks = checks

    def admit(self, request: wire.Request, now_ms: int) -> Admitted:
        """
        Check who sends a request.

        Raises:
            ObsError: AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed, InvalidSecurity.
        """
        if (fourth := v4.read(request)) is not None:
            return self._fourth(request, fourth, now_ms)
        if (own := own_signature.read(request)) is not None:
            return self._own(request, own, now_ms)
        if self._checks or "authorization" in request.headers:
            raise errors.ObsError("AccessDenied")
        sent_by_page = "origin" in request.headers or request.headers.get("sec-fetch-site", "none") != "none"
        if sent_by_page and request.verb not in {"GET", "HEAD"}:
            raise errors.ObsError("AccessDenied", "pages in a browser may not write without a signature")
        declared = v4.payload_hash(request)
        framing = chunks.Framing() if declared.startswith(v4.CHUNKED) else None
        return Admitted("x-amz-", self._owner, None, framing)

    def _fourth(self, request: wire.Request, claim: v4.Claim, now_ms: int) -> Admitted:
        _check_time(claim.signed_ms, claim.life_s, now_ms)
        key = self._key(claim.access_key, claim.token, now_ms)
        if "host" not in claim.names:
            raise errors.ObsError("AccessDenied", "the header Host must be signed")
        derived = v4.signing_key(key.secret, claim.scope)
        if not hmac.compare_digest(v4.signature(request, claim, derived).encode(), claim.signature.encode()):
            raise errors.ObsError("SignatureDoesNotMatch")

        declared = v4.payload_hash(request)
        if not declared.startswith(v4.CHUNKED):
            return Admitted("x-amz-", key.caller.domain, None if declared == v4.UNSIGNED else declared)
        signed = declared.startswith(v4.SIGNED_CHUNKS)
        return Admitted(
            "x-amz-", key.caller.domain, None, chunks.Framing(claim, derived) if signed else chunks.Framing()
        )

    def _own(self, request: wire.Request, claim: own_signature.Claim, now_ms: int) -> Admitted:
        if claim.expires_s is None:
            _check_time(own_signature.signed_ms(request, claim), None, now_ms)
        elif claim.expires_s * 1000 < now_ms:
            raise errors.ObsError("AccessDenied", "Request has expired")
        key = self._key(claim.access_key, claim.token, now_ms)
        wanted = own_signature.signatures(request, claim, key.secret)
        if not any(hmac.compare_digest(one.encode(), claim.signature.encode()) for one in wanted):
            raise errors.ObsError("SignatureDoesNotMatch")
        framing = chunks.Framing() if v4.payload_hash(request).startswith(v4.CHUNKED) else None
        return Admitted(claim.prefix, key.caller.domain, None, framing)

    def _key(self, access_key: str, token: str | None, now_ms: int) -> accounts.Key:
        key = self._known.key(access_key)
        if key is None:
            raise errors.ObsError("InvalidAccessKeyId", "", OBSAccessKeyId=access_key[:200])
        if key.security_token is not None and not hmac.compare_digest(
            key.security_token.encode(), (token or "").encode()
        ):
            raise errors.ObsError("InvalidSecurity")
        if key.expires_ms is not None and key.expires_ms <= now_ms:
            raise errors.ObsError("InvalidSecurity", "The provided token has expired.")
        return key


def _check_time(signed_ms: int, life_s: int | None, now_ms: int) -> None:
    if signed_ms - now_ms > SKEW_MS or (life_s is None and now_ms - signed_ms > SKEW_MS):
        raise errors.ObsError("RequestTimeTooSkewed")
    if life_s is not None and signed_ms + life_s * 1000 < now_ms:
        raise errors.ObsError("AccessDenied", "Request has expired")
