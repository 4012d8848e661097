"""What heads of requests say: headers to keep with an object, ranges, conditions, sources of copies; pure."""

from __future__ import annotations

import base64
import binascii
import email.utils
import re
import urllib.parse
from collections.abc import Mapping

from mrs_emulator.obs import errors, store, wire

_KEPT = frozenset(
    {"content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"}
)
_META_MAX_BYTES = 8 * 1024
_META = re.compile(r"x-(?:obs|amz)-(?P<name>meta-.+)")
_NOT_PLAYED = re.compile(
    r"x-(?:obs|amz)-(?:server-side-encryption.*|tagging|object-lock.*|website-redirect-location|grant-.*|fetch-.*"
    r"|copy-source-(?:if|server)-.*)"
    r"|if-(?:none-)?match"
)
_OWN_ACLS = frozenset({"private", "bucket-owner-full-control"})
_RANGE = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})")
_ANSWERS = {
    f"response-{name}": name
    for name in (
        "content-type",
        "content-language",
        "expires",
        "cache-control",
        "content-disposition",
        "content-encoding",
    )
}


def kept(request: wire.Request) -> dict[str, str]:
    """
    Return the headers that are kept with an object.

    Raises:
        ObsError: NotImplemented for what is not played; InvalidArgument, there is too much of it.
    """
    for name in request.headers:
        if _NOT_PLAYED.fullmatch(name):
            raise errors.not_played(f"the header {name}")
    if (acl := request.header("acl")) is not None and acl not in _OWN_ACLS:
        raise errors.not_played(f"the access control list {acl[:100]!r}")

    found = {name: value for name, value in request.headers.items() if name in _KEPT}
    encodings = [one.strip() for one in found.pop("content-encoding", "").split(",")]
    if own := [one for one in encodings if one not in {"", "aws-chunked"}]:
        found["content-encoding"] = ",".join(own)
    meta = {match["name"]: value for name, value in request.headers.items() if (match := _META.fullmatch(name))}
    if sum(len(name) + len(value) for name, value in meta.items()) > _META_MAX_BYTES:
        raise errors.ObsError("InvalidArgument", f"the metadata have more than {_META_MAX_BYTES} bytes")
    for name, value in (*found.items(), *meta.items()):
        if not value.isascii():
            raise errors.ObsError("InvalidArgument", f"the header {name[:100]} must be ASCII: encode it")
    return {"content-type": "binary/octet-stream", **found, **meta}


def shown(found: store.Found, request: wire.Request, prefix: str) -> dict[str, str]:
    """
    Return the headers of a reply that shows an object; a request may choose some of them.

    Raises:
        ObsError: InvalidArgument, it chooses what no header can be.
    """
    headers = {
        "ETag": f'"{found.etag}"',
        "Last-Modified": email.utils.formatdate(found.changed_ms / 1000, usegmt=True),
        "Accept-Ranges": "bytes",
        "Content-Type": "binary/octet-stream",
    }
    for name, value in found.headers.items():
        headers[f"{prefix}{name}" if name.startswith("meta-") else name.title()] = value
    chosen = {_ANSWERS[name].title(): value for name, value in request.query if name in _ANSWERS and value}
    if not all(value.isprintable() for value in chosen.values()):
        raise errors.ObsError("InvalidArgument", "a header of the reply must be printable")
    return headers | chosen


def stretch(asked: str, size: int) -> tuple[int, int] | None:
    """
    Return first byte and length of the range that is asked for, or None for the whole.

    Raises:
        ObsError: InvalidRange, it begins behind the end.
    """
    match = _RANGE.fullmatch(asked.replace(" ", ""))
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        first, last = max(0, size - int(match["last"])), size - 1
    else:
        first, last = int(match["first"]), min(int(match["last"] or size), size - 1)
        if match["last"] and int(match["last"]) < first:
            return None
    if first > last:
        raise errors.ObsError("InvalidRange", ActualObjectSize=str(size))
    return first, last - first + 1


def check_conditions(headers: Mapping[str, str], found: store.Found) -> None:
    """
    Apply If-Match, If-None-Match, If-Modified-Since and If-Unmodified-Since.

    Raises:
        ObsError: PreconditionFailed, NotModified.
    """
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, found.etag):
            raise errors.ObsError("PreconditionFailed", Condition="If-Match")
    elif (since := _seconds(headers.get("if-unmodified-since"))) is not None and found.changed_ms // 1000 > since:
        raise errors.ObsError("PreconditionFailed", Condition="If-Unmodified-Since")
    if (unwanted := headers.get("if-none-match")) is not None:
        if _matches(unwanted, found.etag):
            raise errors.ObsError("NotModified")
    elif (since := _seconds(headers.get("if-modified-since"))) is not None and found.changed_ms // 1000 <= since:
        raise errors.ObsError("NotModified")


def check_digest(request: wire.Request, body: wire.Body) -> None:
    """
    Compare Content-MD5 with the body.

    Raises:
        ObsError: InvalidDigest, BadDigest.
    """
    text = request.headers.get("content-md5")
    if text is None:
        return
    try:
        wanted = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise errors.ObsError("InvalidDigest") from error
    if wanted != body.md5:
        raise errors.ObsError("BadDigest")


def copy_source(text: str) -> tuple[str, str]:
    """
    Return bucket and key of a copy's source.

    Raises:
        ObsError: InvalidArgument.
    """
    path, _, version = text.partition("?")
    if version:
        raise errors.not_played("versions of objects")
    bucket, _, key = urllib.parse.unquote(path).removeprefix("/").partition("/")
    if not key:
        raise errors.ObsError("InvalidArgument", "the source of a copy must be /bucket/key")
    return bucket, key


def _matches(wanted: str, etag: str) -> bool:
    return any(one.strip() in {"*", etag, f'"{etag}"'} for one in wanted.split(","))


def _seconds(date: str | None) -> int | None:
    parsed = email.utils.parsedate_tz(date) if date else None
    return email.utils.mktime_tz(parsed) if parsed else None
