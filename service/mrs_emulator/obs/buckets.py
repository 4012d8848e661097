"""What is asked of buckets: which there are, what is in one, and orders to make, empty and delete one; blocks."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import urllib.parse
from collections.abc import Iterator

from mrs_emulator.obs import access, errors, heads, listing, markup, store, wire

DELETE_MAX = 1000
_XML_MAX_BYTES = 1 << 20
_XML = {"Content-Type": markup.CONTENT_TYPE}


def moment(epoch_ms: int) -> str:
    """Return a moment as OBS prints it."""
    seen = dt.datetime.fromtimestamp(epoch_ms / 1000, tz=dt.UTC)
    return f"{seen:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"


class Buckets:
    """
    Answers requests that name a bucket and no key, or nothing.

    Args:
        objects: the store.
        region: where the buckets are.
    """

    def __init__(self, objects: store.Store, region: str) -> None:
        self._objects = objects
        self._region = region

    def all(self, admitted: access.Admitted) -> wire.Reply:
        """Answer ListBuckets."""
        found = [
            (
                "Bucket",
                [("Name", name), ("CreationDate", moment(at_ms)), ("Location", self._region), ("BucketType", "OBJECT")],
            )
            for name, at_ms in self._objects.buckets()
        ]
        body = markup.document("ListAllMyBucketsResult", [_owner(admitted.owner), ("Buckets", found)])
        return wire.Reply(200, _XML, body)

    def head(self, request: wire.Request, admitted: access.Admitted) -> wire.Reply:
        """Answer HeadBucket."""
        self._objects.bucket(request.bucket)
        location = "x-amz-bucket-region" if admitted.prefix == "x-amz-" else "x-obs-bucket-location"
        return wire.Reply(200, {location: self._region, "x-obs-api": "3.0"})

    def create(self, request: wire.Request) -> wire.Reply:
        """Answer CreateBucket; its location says nothing here."""
        heads.kept(request)
        self._objects.create_bucket(request.bucket)
        return wire.Reply(200, {"Location": f"/{request.bucket}"})

    def delete(self, request: wire.Request) -> wire.Reply:
        """Answer DeleteBucket."""
        self._objects.delete_bucket(request.bucket)
        return wire.Reply(204)

    def location(self, request: wire.Request, admitted: access.Admitted) -> wire.Reply:
        """Answer GetBucketLocation; of S3's clients some read the root's text, and OBS's own an element in it."""
        self._objects.bucket(request.bucket)
        if admitted.prefix == "x-obs-":
            return wire.Reply(200, _XML, markup.document("Location", self._region))
        both: list[markup.Element] = [("", self._region), ("LocationConstraint", self._region)]
        return wire.Reply(200, _XML, markup.document("LocationConstraint", both))

    def versioning(self, request: wire.Request) -> wire.Reply:
        """Answer GetBucketVersioning: it was never turned on."""
        self._objects.bucket(request.bucket)
        return wire.Reply(200, _XML, markup.document("VersioningConfiguration", []))

    def contents(self, request: wire.Request, admitted: access.Admitted) -> wire.Reply:
        """Answer ListObjects, of the first and the second version."""
        query = dict(request.query)
        second = query.get("list-type") == "2"
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = _number(query.get("max-keys"), listing.PAGE_MAX)
        begin = _begin(query) if second else query.get("marker", "")
        found = self._objects.walk(request.bucket, prefix)
        page = listing.page(found, prefix, delimiter, begin, min(most, listing.PAGE_MAX))

        url = _wants_url(query)
        elements: list[markup.Element] = [
            ("Name", request.bucket),
            ("Prefix", markup.of_url(prefix, url=url)),
            ("MaxKeys", most),
            ("IsTruncated", bool(page.last)),
        ]
        if delimiter:
            elements.append(("Delimiter", markup.of_url(delimiter, url=url)))
        if url:
            elements.append(("EncodingType", "url"))
        elements += _second(query, page) if second else _first(begin, page, url=url)
        owned = not second or query.get("fetch-owner") == "true"
        elements += self._entries(request.bucket, page, admitted.owner if owned else "", url=url)
        return wire.Reply(200, _XML, markup.document("ListBucketResult", elements))

    def delete_many(self, request: wire.Request, body: wire.Body) -> wire.Reply:
        """Answer DeleteObjects: all that are named; each is answered for itself."""
        self._objects.bucket(request.bucket)
        heads.check_digest(request, body)
        root = markup.read(body.read(_XML_MAX_BYTES), "Delete")
        named = [one.findtext("Key") or "" for one in root.iter("Object")]
        if not named or len(named) > DELETE_MAX or not all(named):
            raise errors.ObsError("MalformedXML")
        if root.findtext("EncodingType") == "url":
            named = [urllib.parse.unquote_plus(one) for one in named]

        results: list[markup.Element] = []
        quiet = (root.findtext("Quiet") or "").strip().lower() == "true"
        for key in named:
            try:
                self._objects.delete(request.bucket, key)
            except errors.ObsError as error:
                results.append(("Error", [("Key", key), ("Code", error.code), ("Message", error.message)]))
            else:
                results += [] if quiet else [("Deleted", [("Key", key)])]
        return wire.Reply(200, _XML, markup.document("DeleteResult", results))

    def _entries(self, bucket: str, page: listing.Page, owner: str, *, url: bool) -> Iterator[markup.Element]:
        for key in page.keys:
            try:
                found = self._objects.look(bucket, key)
            except errors.ObsError:  # it was deleted since the folder was read
                continue
            entry: list[markup.Element] = [
                ("Key", markup.of_url(key, url=url)),
                ("LastModified", moment(found.changed_ms)),
                ("ETag", f'"{found.etag}"'),
                ("Size", found.size),
                ("StorageClass", "STANDARD"),
            ]
            yield ("Contents", [*entry, _owner(owner)] if owner else entry)

        for one in page.prefixes:
            yield ("CommonPrefixes", [("Prefix", markup.of_url(one, url=url))])


def _owner(name: str) -> markup.Element:
    return ("Owner", [("ID", name), ("DisplayName", name)])


def _first(marker: str, page: listing.Page, *, url: bool) -> list[markup.Element]:
    more: list[markup.Element] = [("NextMarker", markup.of_url(page.last, url=url))] if page.last else []
    return [("Marker", markup.of_url(marker, url=url)), *more]


def _second(query: dict[str, str], page: listing.Page) -> list[markup.Element]:
    elements: list[markup.Element] = [("KeyCount", len(page.keys) + len(page.prefixes))]
    elements += [(name, query[wire_name]) for wire_name, name in _ECHOED if wire_name in query]
    if page.last:
        token = base64.urlsafe_b64encode(page.last.encode()).decode()
        elements.append(("NextContinuationToken", token))
    return elements


_ECHOED = (("continuation-token", "ContinuationToken"), ("start-after", "StartAfter"))


def _begin(query: dict[str, str]) -> str:
    token = query.get("continuation-token")
    if token is None:
        return query.get("start-after", "")
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise errors.ObsError("InvalidArgument", "The continuation token provided is incorrect") from error


def _wants_url(query: dict[str, str]) -> bool:
    wanted = query.get("encoding-type")
    if wanted not in {None, "", "url"}:
        raise errors.ObsError("InvalidArgument", "encoding-type must be url")
    return wanted == "url"


def _number(text: str | None, default: int) -> int:
    if text is None or not text:
        return default
    if not wire.is_whole_number(text):
        raise errors.ObsError("InvalidArgument", "max-keys must be a whole number, 0 or more")
    return int(text)
