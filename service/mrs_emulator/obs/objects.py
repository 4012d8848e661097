"""What is asked of one object: read, put, copy and delete it; blocks."""

from __future__ import annotations

import hashlib
import pathlib
import shutil

from mrs_emulator.obs import access, buckets, errors, heads, markup, store, wire

_XML = {"Content-Type": markup.CONTENT_TYPE}
_COPY_BYTES = 1 << 20


class Objects:
    """
    Answers requests that name an object.

    Args:
        objects: the store.
    """

    def __init__(self, objects: store.Store) -> None:
        self._objects = objects

    def read(self, request: wire.Request, admitted: access.Admitted) -> wire.Reply:
        """Answer GetObject and HeadObject."""
        file, found = self._objects.open(request.bucket, request.key)
        try:
            heads.check_conditions(request.headers, found)
            stretch = heads.stretch(request.headers.get("range", ""), found.size)
            headers = heads.shown(found, request, admitted.prefix)
        except BaseException:
            file.close()
            raise
        if stretch is None:
            return wire.Reply(200, headers, wire.Slice(file, 0, found.size))
        start, length = stretch
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{found.size}"
        return wire.Reply(206, headers, wire.Slice(file, start, length))

    def put(self, request: wire.Request, body: wire.Body) -> wire.Reply:
        """Answer PutObject; CopyObject where a header names a source."""
        source = request.header("copy-source")
        if source is not None:
            return self._copy(request, source)
        self._objects.bucket(request.bucket)
        kept = heads.kept(request)
        heads.check_digest(request, body)
        etag = body.md5.hex()
        self._objects.put(request.bucket, request.key, body.path, store.About(etag, kept))
        return wire.Reply(200, {"ETag": f'"{etag}"'})

    def _copy(self, request: wire.Request, source: str) -> wire.Reply:
        self._objects.bucket(request.bucket)
        kept = heads.kept(request)
        replaces = (request.header("metadata-directive") or "COPY").upper() == "REPLACE"
        fresh = self._objects.incoming()
        file, found = self._objects.open(*heads.copy_source(source))

        try:
            with file, fresh.open("wb") as target:
                shutil.copyfileobj(file, target, _COPY_BYTES)
            about = store.About(_digest(fresh, found), kept if replaces else found.headers)
            self._objects.put(request.bucket, request.key, fresh, about)
        finally:
            fresh.unlink(missing_ok=True)

        seen = self._objects.look(request.bucket, request.key)
        elements = [("LastModified", buckets.moment(seen.changed_ms)), ("ETag", f'"{seen.etag}"')]
        return wire.Reply(200, _XML, markup.document("CopyObjectResult", elements))

    def delete(self, request: wire.Request) -> wire.Reply:
        """Answer DeleteObject; an object that is not there is deleted just as well."""
        try:
            self._objects.delete(request.bucket, request.key)
        except errors.ObsError as error:
            if error.code != "NoSuchKey":
                raise
        return wire.Reply(204)


def _digest(path: pathlib.Path, found: store.Found) -> str:
    """Return the tag of a copy: that of its source where it is a digest, or the digest of what was copied."""
    if "-" not in found.etag:
        return found.etag
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
