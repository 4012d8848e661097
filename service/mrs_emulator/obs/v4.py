"""
AWS's signature, version 4: in the header Authorization, in the query of a presigned URL, and over chunks of a body.

Written from the description of the algorithm; the functions are pure.

Source: AWS, "Authenticating Requests (AWS Signature Version 4)"; OBS takes it in its S3-compatible form.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import urllib.parse
from dataclasses import dataclass

from mrs_emulator.obs import errors, wire

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
CHUNKED = "STREAMING-"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_LIFE_MAX_S = 7 * 86_400
_HEADER = re.compile(
    rf"{ALGORITHM} +Credential=(?P<credential>[^,\s]+), *SignedHeaders=(?P<names>[^,\s]+), *"
    r"Signature=(?P<sum>[0-9a-f]+)"
)
_CREDENTIAL = re.compile(r"(?P<access>.+)/(?P<scope>(?P<day>\d{8})/(?P<region>[^/]*)/(?P<service>[^/]+)/aws4_request)")
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """
    What a signature claims.

    Attributes:
        access_key: whose key.
        scope: day, region and service for which it is derived.
        at: when it was signed, as sent.
        names: the headers that are signed.
        signature: in hex.
        life_s: how long it is good, of a presigned URL.
        token: the security token that came with it.
    """

    access_key: str
    scope: str
    at: str
    names: tuple[str, ...]
    signature: str
    life_s: int | None = None
    token: str | None = None

    @property
    def signed_ms(self) -> int:
        """When it was signed, in milliseconds since the epoch."""
        return round(_moment(self.at).timestamp() * 1000)


def read(request: wire.Request) -> Claim | None:
    """
    Return the claim of a request, or None when it has none of this kind.

    Raises:
        ObsError: AccessDenied or InvalidArgument, it is incomplete.
    """
    query = dict(request.query)
    if query.get("X-Amz-Algorithm") == ALGORITHM:
        return _of_query(query)
    authorization = request.headers.get("authorization", "")
    if not authorization.startswith(ALGORITHM):
        return None
    match = _HEADER.fullmatch(authorization.strip())
    if match is None:
        raise errors.ObsError("InvalidArgument", "the header Authorization is malformed")
    at = request.header("date") or _basic(request.headers.get("date", ""))
    access, scope = _credential(match["credential"], at)
    return Claim(access, scope, at, tuple(match["names"].lower().split(";")), match["sum"], None, _token(request))


def signing_key(secret: str, scope: str) -> bytes:
    """Return the key derived for a scope."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def signature(request: wire.Request, claim: Claim, key: bytes) -> str:
    """Return the signature that the request should have."""
    canonical = canonical_request(request, claim)
    hashed = hashlib.sha256(canonical.encode(errors="surrogateescape")).hexdigest()  # a header may be no UTF-8
    to_sign = f"{ALGORITHM}\n{claim.at}\n{claim.scope}\n{hashed}"
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def chunk_signature(key: bytes, claim: Claim, before: str, data: bytes) -> str:
    """Return the signature of a chunk that follows another, or the head, with the signature `before`."""
    to_sign = f"{ALGORITHM}-PAYLOAD\n{claim.at}\n{claim.scope}\n{before}\n{_EMPTY}\n{hashlib.sha256(data).hexdigest()}"
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def payload_hash(request: wire.Request) -> str:
    """Return what the head says of the body: its hash, or that it is unsigned or signed by chunks."""
    return request.header("content-sha256") or request.parameter("X-Amz-Content-Sha256") or UNSIGNED


def canonical_request(request: wire.Request, claim: Claim) -> str:
    """Return the text whose hash is signed."""
    path = urllib.parse.quote(urllib.parse.unquote(request.path), safe="/-_.~")
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in request.query if name != "X-Amz-Signature")
    query = "&".join(f"{name}={value}" for name, value in pairs)
    block = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in claim.names)
    return f"{request.verb}\n{path or '/'}\n{query}\n{block}\n{';'.join(claim.names)}\n{payload_hash(request)}"


def _of_query(query: dict[str, str]) -> Claim:
    try:
        at, life_s = query["X-Amz-Date"], int(query["X-Amz-Expires"])
        names, found = query["X-Amz-SignedHeaders"], query["X-Amz-Signature"]
        access, scope = _credential(query["X-Amz-Credential"], at)
    except (KeyError, ValueError) as error:
        raise errors.ObsError("AccessDenied", "the query has no complete signature") from error
    if not 0 < life_s <= _LIFE_MAX_S:
        raise errors.ObsError("AccessDenied", f"X-Amz-Expires must be between 1 and {_LIFE_MAX_S} seconds")
    token = query.get("X-Amz-Security-Token", query.get("x-amz-security-token"))
    return Claim(access, scope, at, tuple(names.lower().split(";")), found, life_s, token)


def _credential(text: str, at: str) -> tuple[str, str]:
    match = _CREDENTIAL.fullmatch(text)
    if match is None or not at.startswith(match["day"]):
        raise errors.ObsError("AccessDenied", "the credential scope and the date of the request do not belong together")
    _moment(at)
    return match["access"], match["scope"]


def _moment(at: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(at, _DATE_FORMAT).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise errors.ObsError("AccessDenied", "the date of the request is missing or malformed") from error


def _basic(date: str) -> str:
    """Return an HTTP date in the form of the signature."""
    try:
        seen = dt.datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=dt.UTC)
    except ValueError:
        return date
    return seen.strftime(_DATE_FORMAT)


def _token(request: wire.Request) -> str | None:
    return request.header("security-token")


def _encoded(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")
