"""
OBS's own signature, and version 2 of AWS's, which differs by prefixes: in the header Authorization, and in a query.

    OBS AK:base64(HMAC-SHA1(SK, text))         x-obs- headers and parameters
    AWS AK:base64(HMAC-SHA1(SK, text))         x-amz- headers and parameters

Source: OBS API reference, "User Signature Authentication" (2024).
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import re
from dataclasses import dataclass

from mrs_emulator.obs import errors, wire

_HEADER = re.compile(r"(?P<kind>OBS|AWS) (?P<access>[^:\s]+):(?P<sum>\S+)")
_PREFIXES = {"OBS": "x-obs-", "AWS": "x-amz-"}
RESOURCES = frozenset(
    (
        *("acl", "append", "backtosource", "cors", "delete", "deletebucket", "directcoldaccess", "encryption"),
        *("inventory", "length", "lifecycle", "location", "logging", "metadata", "modify", "name", "notification"),
        *("object-lock", "obscompresspolicy", "partnumber", "policy", "policystatus", "position", "publicaccessblock"),
        *("quota", "rename", "replication", "requestpayment", "response-cache-control", "response-content-disposition"),
        *("response-content-encoding", "response-content-language", "response-content-type", "response-expires"),
        *("restore", "retention", "storageclass", "storageinfo", "storagepolicy", "tagging", "torrent", "truncate"),
        *("uploadid", "uploads", "versionid", "versioning", "versions", "website", "bucketstatus"),
    )
)


@dataclass(frozen=True, slots=True)
class Claim:
    """
    What a signature claims.

    Attributes:
        kind: OBS or AWS.
        access_key: whose key.
        signature: in base64.
        date: what is signed as the date: an HTTP date, or the end of a presigned URL.
        expires_s: that end, in seconds since the epoch.
        token: the security token that came with it.
    """

    kind: str
    access_key: str
    signature: str
    date: str
    expires_s: int | None = None
    token: str | None = None

    @property
    def prefix(self) -> str:
        """How its headers begin."""
        return _PREFIXES[self.kind]


def read(request: wire.Request) -> Claim | None:
    """
    Return the claim of a request, or None when it has none of this kind.

    Raises:
        ObsError: AccessDenied, it is incomplete.
    """
    query = dict(request.query)
    for kind, name in (("OBS", "AccessKeyId"), ("AWS", "AWSAccessKeyId")):
        if name in query and "Signature" in query:
            return _of_query(kind, query[name], query)
    match = _HEADER.fullmatch(request.headers.get("authorization", "").strip())
    if match is None:
        return None
    prefix = _PREFIXES[match["kind"]]
    date = "" if f"{prefix}date" in request.headers else request.headers.get("date", "")
    token = request.headers.get(f"{prefix}security-token")
    return Claim(match["kind"], match["access"], match["sum"], date, None, token)


def signed_ms(request: wire.Request, claim: Claim) -> int:
    """
    Return when the request was signed, in milliseconds since the epoch.

    Raises:
        ObsError: AccessDenied, it has no date.
    """
    text = request.headers.get(f"{claim.prefix}date") or request.headers.get("date", "")
    parsed = email.utils.parsedate_tz(text)
    if parsed is None:
        raise errors.ObsError("AccessDenied", "the request has no date that can be read")
    return round(email.utils.mktime_tz(parsed) * 1000)


def signatures(request: wire.Request, claim: Claim, secret: str) -> set[str]:
    """Return the signatures that the request may have: clients differ in the slash behind a bucket without a key."""
    resource = f"/{request.bucket}{request.path}" if request.by_host else request.path
    resources = {resource}
    if request.bucket and not request.key:
        resources |= {f"/{request.bucket}", f"/{request.bucket}/"}
    head, parameters = _head(request, claim), _parameters(request, claim)
    return {_signed(secret, f"{head}{one}{parameters}") for one in resources}


def _head(request: wire.Request, claim: Claim) -> str:
    headers = request.headers
    own = sorted((name, value.strip()) for name, value in headers.items() if name.startswith(claim.prefix))
    lines = [request.verb, headers.get("content-md5", ""), headers.get("content-type", ""), claim.date]
    return "".join(f"{line}\n" for line in [*lines, *(f"{name}:{value}" for name, value in own)])


def _parameters(request: wire.Request, claim: Claim) -> str:
    """Return the parameters that count, sorted; those without a value have no sign of equality either."""
    found = sorted(
        (name, value)
        for name, value in request.query
        if name.lower() in RESOURCES or name.lower().startswith(claim.prefix)
    )
    texts = [f"{name}={value}" if value else name for name, value in found]
    return f"?{'&'.join(texts)}" if texts else ""


def _signed(secret: str, text: str) -> str:
    return base64.b64encode(
        hmac.new(secret.encode(), text.encode(errors="surrogateescape"), hashlib.sha1).digest()
    ).decode()


def _of_query(kind: str, access_key: str, query: dict[str, str]) -> Claim:
    expires = query.get("Expires", "")
    if not wire.is_whole_number(expires):
        raise errors.ObsError("AccessDenied", "a presigned URL needs Expires, in seconds since 1970")
    token = query.get(f"{_PREFIXES[kind]}security-token")
    return Claim(kind, access_key, query["Signature"], expires, int(expires), token)
