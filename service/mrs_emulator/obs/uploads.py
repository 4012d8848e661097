"""
Uploads in parts: each part is a file until the upload is completed, then they become one object; everything blocks.

Source: OBS API reference, "Multipart Tasks" (2024): 1 to 10,000 parts of 100 KB to 5 GB; the last may be smaller.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mrs_emulator.obs import errors, store

PARTS_MAX = 10_000
PART_MIN_BYTES = 100 * 1024

_ID = re.compile(r"[0-9a-f]{32}")
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way."""

    upload_id: str
    bucket: str
    key: str
    headers: Mapping[str, str]
    begun_ms: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part that was received; its tag is the digest of its bytes."""

    number: int
    etag: str
    size: int
    at_ms: int


class Uploads:
    """
    The uploads under way; they survive a restart, as objects do.

    Args:
        objects: where they become objects.
    """

    def __init__(self, objects: store.Store) -> None:
        self._objects = objects

    def begin(self, bucket: str, key: str, headers: Mapping[str, str], now_ms: int) -> Upload:
        """
        Begin an upload.

        Raises:
            ObsError: NoSuchBucket.
        """
        self._objects.bucket(bucket)
        begun = Upload(secrets.token_hex(16), bucket, key, headers, now_ms)
        place = self._objects.own("uploads", begun.upload_id) / "upload.json"
        place.write_bytes(msgspec.json.encode(begun))
        return begun

    def under_way(self, bucket: str) -> list[Upload]:
        """Return the uploads of a bucket, by key and begin."""
        self._objects.bucket(bucket)
        found = [self._read(path.name) for path in self._objects.own("uploads").iterdir()]
        return sorted((one for one in found if one and one.bucket == bucket), key=lambda one: (one.key, one.begun_ms))

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """
        Return an upload under way.

        Raises:
            ObsError: NoSuchBucket, NoSuchUpload.
        """
        self._objects.bucket(bucket)
        found = self._read(upload_id)
        if found is None or (found.bucket, found.key) != (bucket, key):
            raise errors.ObsError("NoSuchUpload", UploadId=upload_id[:200])
        return found

    def put(self, upload: Upload, part: Part, fresh: Path) -> None:
        """Keep a part, in place of an earlier one with its number."""
        with self._objects.lock:
            folder = self._folder(upload.upload_id)
            if not folder.is_dir():
                raise errors.ObsError("NoSuchUpload", UploadId=upload.upload_id)
            fresh.replace(folder / f"{part.number}.part")
            (folder / f"{part.number}.json").write_bytes(msgspec.json.encode(part))

    def parts(self, upload: Upload) -> list[Part]:
        """Return the parts received, by number."""
        found = [
            msgspec.json.decode(path.read_bytes(), type=Part)
            for path in self._folder(upload.upload_id).glob("*.json")
            if path.stem.isdecimal()
        ]
        return sorted(found, key=lambda one: one.number)

    def complete(self, upload: Upload, wanted: Sequence[tuple[int, str]]) -> str:
        """
        Make one object of the parts that the client names; return its tag.

        Raises:
            ObsError: InvalidPart, InvalidPartOrder, EntityTooSmall, NoSuchBucket.
        """
        chosen = _chosen({one.number: one for one in self.parts(upload)}, wanted)
        fresh = self._objects.incoming()
        digests = b"".join(bytes.fromhex(one.etag) for one in chosen)
        etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}"

        try:
            with fresh.open("wb") as whole:
                for one in chosen:
                    with (self._folder(upload.upload_id) / f"{one.number}.part").open("rb") as part:
                        shutil.copyfileobj(part, whole, _COPY_BYTES)
            self._objects.put(upload.bucket, upload.key, fresh, store.About(etag, upload.headers))
        except FileNotFoundError as error:  # it was completed or aborted meanwhile
            raise errors.ObsError("NoSuchUpload", UploadId=upload.upload_id) from error
        finally:
            fresh.unlink(missing_ok=True)

        self.abort(upload)
        return etag

    def abort(self, upload: Upload) -> None:
        """Forget an upload and its parts."""
        shutil.rmtree(self._folder(upload.upload_id), ignore_errors=True)

    def _folder(self, upload_id: str) -> Path:
        return self._objects.own("uploads") / upload_id

    def _read(self, upload_id: str) -> Upload | None:
        if _ID.fullmatch(upload_id) is None:
            return None
        try:
            return msgspec.json.decode((self._folder(upload_id) / "upload.json").read_bytes(), type=Upload)
        except (OSError, msgspec.DecodeError):
            return None


def _chosen(received: Mapping[int, Part], wanted: Sequence[tuple[int, str]]) -> list[Part]:
    numbers = [number for number, _ in wanted]
    if numbers != sorted(set(numbers)):
        raise errors.ObsError("InvalidPartOrder")
    if not wanted or any(number not in received or received[number].etag != etag for number, etag in wanted):
        raise errors.ObsError("InvalidPart")
    chosen = [received[number] for number in numbers]
    if any(one.size < PART_MIN_BYTES for one in chosen[:-1]):
        raise errors.ObsError("EntityTooSmall")
    return chosen
