"""
Checks who signed a request: SDK-HMAC-SHA256, written from the description of the algorithm, not from a signer.

The functions are pure; `Gate` applies them to the emulator's credentials. Only X-Sdk-Date, the headers named in
SignedHeaders, verb, path, query and body count; headers that an HTTP library adds later do not.

Source: API signing guide and the official signer's behaviour (SDK core 3.1.219).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

from mrs_relay.emulator import refusals, settings, wire

ALGORITHM = "SDK-HMAC-SHA256"
SKEW_S = 15 * 60
"""Seconds that X-Sdk-Date may differ from the gateway's clock."""
BODY_MAX_BYTES = 12 * 1024 * 1024
"""Largest body of a signed request."""

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Access=(?P<access>[^,\s]+), *SignedHeaders=(?P<names>[^,\s]+), *"
    r"Signature=(?P<signature>[0-9a-fA-F]+)"
)
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """What an Authorization header claims: whose key, over which headers, with which signature."""

    access_key: str
    signed_headers: tuple[str, ...]
    signature: str


def read_claim(authorization: str) -> Claim | None:
    """The parts of an Authorization header, or None when it has another form."""
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    if match is None:
        return None
    return Claim(match["access"], tuple(match["names"].lower().split(";")), match["signature"].lower())


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def canonical_uri(path: str) -> str:
    """The path decoded, encoded again segment by segment, and ended with a slash."""
    if _PLAIN_PATH.fullmatch(path) is None:
        path = "/".join(_encoded(segment) for segment in urllib.parse.unquote(path).split("/"))
    return path if path.endswith("/") else f"{path}/"


def canonical_query(pairs: Sequence[tuple[str, str]]) -> str:
    """The parameters sorted by name, then value, each encoded."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(pairs))


def canonical_request(request: wire.Request, signed_headers: Sequence[str]) -> str:
    """The text whose hash is signed; a signed header that the request lacks counts as empty."""
    headers = request.headers
    names = sorted(signed_headers)
    block = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in names)
    declared = headers.get("x-sdk-content-sha256") if request.body else None
    payload_hash = declared or hashlib.sha256(request.body).hexdigest()
    uri = canonical_uri(request.path)
    query = canonical_query(request.pairs())
    return f"{request.verb}\n{uri}\n{query}\n{block}\n{';'.join(names)}\n{payload_hash}"


def string_to_sign(sdk_date: str, canonical: str) -> str:
    """Algorithm, date and the hash of the canonical request, a line each."""
    return f"{ALGORITHM}\n{sdk_date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def signature(secret_key: str, to_sign: str) -> str:
    """HMAC-SHA256 of the string to sign under the secret key, in lower-case hex."""
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


class Gate:
    """
    Admits requests signed with one of the project's keys.

    Args:
        credentials: the keys.
        project_id: the project that X-Project-Id must name, if it is sent.
        on: False admits everything as the first credential's user.
    """

    def __init__(self, credentials: Sequence[settings.Credential], project_id: str, *, on: bool) -> None:
        self._credentials = {one.access_key: one for one in credentials}
        self._first_user = credentials[0].user
        self._project_id = project_id
        self._on = on

    def user(self, request: wire.Request, now_ms: int) -> str:
        """
        Name of the user who signed the request.

        Args:
            request: the request as it arrived.
            now_ms: the gateway's time, in milliseconds since the epoch.

        Raises:
            Refusal: as the gateway words it: APIGW.0301, 0303, 0310 or 0201.
        """
        if not self._on:
            return self._first_user
        if len(request.body) > BODY_MAX_BYTES:
            raise refusals.too_large()
        credential = self._signer(request, now_ms)
        if request.headers.get("x-project-id", self._project_id) != self._project_id:
            raise refusals.foreign_project()
        return credential.user

    def _signer(self, request: wire.Request, now_ms: int) -> settings.Credential:
        authorization = request.headers.get("authorization")
        if authorization is None:
            ending = "decrypt token fail" if "x-auth-token" in request.headers else "x-auth-token not found"
            raise refusals.not_authentic(ending)
        claim = read_claim(authorization)
        sdk_date = request.headers.get("x-sdk-date", "")
        if claim is None or not sdk_date:
            raise refusals.not_authentic("verify aksk signature fail")
        _check_skew(sdk_date, now_ms)
        credential = self._credentials.get(claim.access_key)
        if credential is None:
            raise refusals.not_authentic("verify aksk signature fail")
        to_sign = string_to_sign(sdk_date, canonical_request(request, claim.signed_headers))
        expected = signature(credential.secret_key.get_secret_value(), to_sign)
        if not hmac.compare_digest(expected, claim.signature):
            raise refusals.not_authentic("verify aksk signature fail")
        _check_token(credential, request)
        return credential


def _check_skew(sdk_date: str, now_ms: int) -> None:
    try:
        signed_at = dt.datetime.strptime(sdk_date, _DATE_FORMAT).replace(tzinfo=dt.UTC)
    except ValueError:
        raise refusals.not_authentic("verify aksk signature fail") from None
    if abs(signed_at.timestamp() - now_ms / 1000) > SKEW_S:
        now = dt.datetime.fromtimestamp(now_ms / 1000, tz=dt.UTC).strftime(_DATE_FORMAT)
        raise refusals.skewed(sdk_date, now)


def _check_token(credential: settings.Credential, request: wire.Request) -> None:
    if credential.security_token is None:
        return
    sent = request.headers.get("x-security-token", "")
    if not hmac.compare_digest(credential.security_token.get_secret_value().encode(), sent.encode()):
        raise refusals.not_authentic("decrypt token fail")
