"""What is asked of uploads in parts: begin, receive a part, list, complete, abort; blocks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from mrs_emulator.obs import buckets, errors, heads, markup, store, uploads, wire

_XML = {"Content-Type": markup.CONTENT_TYPE}
_XML_MAX_BYTES = 4 << 20
_COPY_BYTES = 1 << 20


class Multipart:
    """
    Answers requests of uploads in parts.

    Args:
        objects: the store.
    """

    def __init__(self, objects: store.Store) -> None:
        self._objects = objects
        self._uploads = uploads.Uploads(objects)

    def begin(self, request: wire.Request, now_ms: int) -> wire.Reply:
        """Answer InitiateMultipartUpload."""
        begun = self._uploads.begin(request.bucket, request.key, heads.kept(request), now_ms)
        elements = [("Bucket", begun.bucket), ("Key", begun.key), ("UploadId", begun.upload_id)]
        return wire.Reply(200, _XML, markup.document("InitiateMultipartUploadResult", elements))

    def put(self, request: wire.Request, body: wire.Body, now_ms: int) -> wire.Reply:
        """Answer UploadPart; UploadPartCopy where a header names a source."""
        source = request.header("copy-source")
        if source is not None:
            return self._copy(request, source, now_ms)
        upload = self._upload(request)
        heads.check_digest(request, body)
        part = uploads.Part(_part_number(request), body.md5.hex(), body.size, now_ms)
        self._uploads.put(upload, part, body.path)
        return wire.Reply(200, {"ETag": f'"{part.etag}"'})

    def _copy(self, request: wire.Request, source: str, now_ms: int) -> wire.Reply:
        """Receive a part from an object, whole or a range of it."""
        upload, number = self._upload(request), _part_number(request)
        heads.kept(request)  # refuses what is not played
        fresh = self._objects.incoming()
        file, found = self._objects.open(*heads.copy_source(source))
        try:
            with file:
                start, length = heads.stretch(request.header("copy-source-range") or "", found.size) or (0, found.size)
                etag = _copied(file, start, length, fresh)
            self._uploads.put(upload, uploads.Part(number, etag, length, now_ms), fresh)
        finally:
            fresh.unlink(missing_ok=True)
        elements = [("LastModified", buckets.moment(now_ms)), ("ETag", f'"{etag}"')]
        return wire.Reply(200, _XML, markup.document("CopyPartResult", elements))

    def parts(self, request: wire.Request) -> wire.Reply:
        """Answer ListParts, in pages."""
        upload = self._upload(request)
        most = min(_number(request, "max-parts", 1000), 1000)
        marker = _number(request, "part-number-marker", 0)
        found = [one for one in self._uploads.parts(upload) if one.number > marker]
        page = found[:most]

        elements: list[markup.Element] = [
            ("Bucket", upload.bucket),
            ("Key", upload.key),
            ("UploadId", upload.upload_id),
            ("StorageClass", "STANDARD"),
            ("PartNumberMarker", marker),
            ("NextPartNumberMarker", page[-1].number if page else marker),
            ("MaxParts", most),
            ("IsTruncated", len(found) > most),
        ]

        for one in page:
            shown: list[markup.Element] = [
                ("PartNumber", one.number),
                ("LastModified", buckets.moment(one.at_ms)),
                ("ETag", f'"{one.etag}"'),
                ("Size", one.size),
            ]
            elements.append(("Part", shown))

        return wire.Reply(200, _XML, markup.document("ListPartsResult", elements))

    def under_way(self, request: wire.Request) -> wire.Reply:
        """Answer ListMultipartUploads; all on one page."""
        prefix = request.parameter("prefix") or ""
        found = [one for one in self._uploads.under_way(request.bucket) if one.key.startswith(prefix)]
        elements: list[markup.Element] = [("Bucket", request.bucket), ("Prefix", prefix), ("IsTruncated", False)]
        for one in found:
            shown = [("Key", one.key), ("UploadId", one.upload_id), ("Initiated", buckets.moment(one.begun_ms))]
            elements.append(("Upload", [*shown, ("StorageClass", "STANDARD")]))
        return wire.Reply(200, _XML, markup.document("ListMultipartUploadsResult", elements))

    def complete(self, request: wire.Request, body: wire.Body) -> wire.Reply:
        """Answer CompleteMultipartUpload."""
        upload = self._upload(request)
        root = markup.read(body.read(_XML_MAX_BYTES), "CompleteMultipartUpload")

        try:
            wanted = [
                (int(one.findtext("PartNumber") or ""), (one.findtext("ETag") or "").strip().strip('"'))
                for one in root.iter("Part")
            ]
        except ValueError as error:
            raise errors.ObsError("MalformedXML") from error

        etag = self._uploads.complete(upload, wanted)
        elements = [
            ("Location", f"/{upload.bucket}/{upload.key}"),
            ("Bucket", upload.bucket),
            ("Key", upload.key),
            ("ETag", f'"{etag}"'),
        ]

        return wire.Reply(200, _XML, markup.document("CompleteMultipartUploadResult", elements))

    def abort(self, request: wire.Request) -> wire.Reply:
        """Answer AbortMultipartUpload."""
        self._uploads.abort(self._upload(request))
        return wire.Reply(204)

    def _upload(self, request: wire.Request) -> uploads.Upload:
        return self._uploads.upload(request.bucket, request.key, request.parameter("uploadId") or "")


def _copied(file: BinaryIO, start: int, length: int, fresh: Path) -> str:
    """Copy a stretch of a file, a piece at a time; return its digest."""
    digest = hashlib.md5(usedforsecurity=False)
    file.seek(start)
    with fresh.open("wb") as target:
        while length and (data := file.read(min(length, _COPY_BYTES))):
            digest.update(data)
            target.write(data)
            length -= len(data)
    return digest.hexdigest()


def _part_number(request: wire.Request) -> int:
    number = _number(request, "partNumber", 0)
    if not 1 <= number <= uploads.PARTS_MAX:
        raise errors.ObsError("InvalidArgument", f"partNumber must be between 1 and {uploads.PARTS_MAX}")
    return number


def _number(request: wire.Request, name: str, default: int) -> int:
    text = request.parameter(name)
    if not text:
        return default
    if not wire.is_whole_number(text):
        raise errors.ObsError("InvalidArgument", f"{name} must be a whole number, 0 or more")
    return int(text)
