"""
Checks who calls: by SDK-HMAC-SHA256, written from the description of the algorithm, not from a signer, or by token.

The functions are pure; `Gate` applies them to the keys that IAM knows. Only X-Sdk-Date, the headers named in
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

from mrs_emulator.core import refusals, settings, wire
from mrs_emulator.iam import accounts

ALGORITHM = "SDK-HMAC-SHA256"
SKEW_S = 15 * 60
"""Seconds that X-Sdk-Date may differ from the gateway's clock."""
BODY_MAX_BYTES = 12 * 1024 * 1024
"""Largest body of a signed request."""

_FAILURES_FORGIVEN = 5
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
    """Return the parts of an Authorization header, or None when it has another form."""
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    if match is None:
        return None
    return Claim(match["access"], tuple(match["names"].lower().split(";")), match["signature"].lower())


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def canonical_uri(path: str) -> str:
    """Return the path decoded, encoded again segment by segment, and ended with a slash."""
    if _PLAIN_PATH.fullmatch(path) is None:
        path = "/".join(_encoded(segment) for segment in urllib.parse.unquote(path).split("/"))
    return path if path.endswith("/") else f"{path}/"


def canonical_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the parameters sorted by name, then value, each encoded."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(pairs))


def canonical_request(request: wire.Request, signed_headers: Sequence[str]) -> str:
    """Return the text whose hash is signed; a signed header that the request lacks counts as empty."""
    headers = request.headers
    names = sorted(signed_headers)
    block = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in names)
    declared = headers.get("x-sdk-content-sha256") if request.body else None
    payload_hash = declared or hashlib.sha256(request.body).hexdigest()
    uri = canonical_uri(request.path)
    query = canonical_query(request.pairs())
    return f"{request.verb}\n{uri}\n{query}\n{block}\n{';'.join(names)}\n{payload_hash}"


def string_to_sign(sdk_date: str, canonical: str) -> str:
    """Return algorithm, date and the hash of the canonical request, a line each."""
    return f"{ALGORITHM}\n{sdk_date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def signature(secret_key: str, to_sign: str) -> str:
    """Return HMAC-SHA256 of the string to sign under the secret key, in lower-case hex."""
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


class Gate:
    """
    Admits requests that are signed with a key, or carry a token, which opens the emulated project.

    Args:
        known: the keys and tokens.
        chosen: project, account, and how dead and locked keys behave.
    """

    def __init__(self, known: accounts.Accounts, chosen: settings.EmulatorSettings) -> None:
        self._known = known
        self._iam = chosen.iam
        self._first = accounts.Caller(chosen.credentials[0].user, chosen.iam.domain)
        self._project_id = chosen.project_id
        self._on = chosen.auth
        self._failures: dict[str, int] = {}
        self._locked_ms: dict[str, int] = {}

    def user(self, request: wire.Request, now_ms: int) -> str:
        """
        Name of the user who calls MRS.

        Not documented and chosen here: a token without a project is APIGW.0302, so that clients do not renew it.

        Args:
            request: the request as it arrived.
            now_ms: the gateway's time, in milliseconds since the epoch.

        Raises:
            Refusal: as the gateway words it: APIGW.0301, 0302, 0303, 0307, 0310 or 0201.
        """
        if not self._on:
            return self._first.user
        if len(request.body) > BODY_MAX_BYTES:
            raise refusals.too_large()
        caller = self.caller(request, now_ms)
        if caller.by_token and caller.project_id is None:
            raise refusals.not_allowed()
        if caller.domain != self._iam.domain or caller.project_id not in {None, self._project_id}:
            raise refusals.foreign_project()
        if request.headers.get("x-project-id", self._project_id) != self._project_id:
            raise refusals.foreign_project()
        return caller.user

    def caller(self, request: wire.Request, now_ms: int) -> accounts.Caller:
        """
        Return who makes a call, whatever it may reach.

        Raises:
            Refusal: APIGW.0301, 0303 or 0307.
        """
        if "authorization" in request.headers:
            return self._signer(request, now_ms)
        token = request.headers.get("x-auth-token")
        if token is not None:
            return self.bearer(token, now_ms)
        if not self._on:
            return self._first
        raise refusals.not_authentic("x-auth-token not found")

    def bearer(self, text: str, now_ms: int) -> accounts.Caller:
        """
        Return whose token this is.

        Raises:
            Refusal: APIGW.0301 for an unknown token; that or APIGW.0307 for a dead one, as the settings say.
        """
        token = self._known.token(text)
        if token is None:
            raise refusals.not_authentic("decrypt token fail")
        self._check_alive(token.expires_ms, now_ms)
        return token.caller

    def _signer(self, request: wire.Request, now_ms: int) -> accounts.Caller:
        claim = read_claim(request.headers["authorization"])
        sdk_date = request.headers.get("x-sdk-date", "")
        if claim is None or not sdk_date:
            raise refusals.not_authentic("verify aksk signature fail")

        _check_skew(sdk_date, now_ms)
        key = self._known.key(claim.access_key)
        if key is None or self._locked_ms.get(claim.access_key, 0) > now_ms:
            raise refusals.not_authentic("verify aksk signature fail")

        to_sign = string_to_sign(sdk_date, canonical_request(request, claim.signed_headers))
        if not hmac.compare_digest(signature(key.secret, to_sign), claim.signature):
            self._note_failure(claim.access_key, now_ms)
            raise refusals.not_authentic("verify aksk signature fail")

        self._failures.pop(claim.access_key, None)
        _check_token(key, request)
        if key.expires_ms is not None:
            self._check_alive(key.expires_ms, now_ms)
        return key.caller

    def _note_failure(self, access_key: str, now_ms: int) -> None:
        """Lock a key after more than five wrong signatures in a row; the answer stays the same."""
        if not self._iam.lock_key_s:
            return
        count = self._failures[access_key] = self._failures.get(access_key, 0) + 1
        if count > _FAILURES_FORGIVEN:
            self._locked_ms[access_key] = now_ms + round(self._iam.lock_key_s * 1000)
            self._failures.pop(access_key)

    def _check_alive(self, expires_ms: int, now_ms: int) -> None:
        if now_ms < expires_ms:
            return
        if self._iam.expired_as == "APIGW.0307":
            raise refusals.token_to_renew()
        raise refusals.not_authentic(f"token expires, expires_at: {accounts.moment(expires_ms)}")


def _check_skew(sdk_date: str, now_ms: int) -> None:
    try:
        signed_at = dt.datetime.strptime(sdk_date, _DATE_FORMAT).replace(tzinfo=dt.UTC)
    except ValueError:
        raise refusals.not_authentic("verify aksk signature fail") from None
    if abs(signed_at.timestamp() - now_ms / 1000) > SKEW_S:
        now = dt.datetime.fromtimestamp(now_ms / 1000, tz=dt.UTC).strftime(_DATE_FORMAT)
        raise refusals.skewed(sdk_date, now)


def _check_token(key: accounts.Key, request: wire.Request) -> None:
    if key.security_token is None:
        return
    sent = request.headers.get("x-security-token", "")
    if not hmac.compare_digest(key.security_token.encode(), sent.encode()):
        raise refusals.not_authentic("decrypt token fail")
