"""
Buckets and objects on files; everything here blocks, so call it off the event loop.

A bucket is a folder, an object a file in it (`keys.py`); what an object has beside its bytes lies in `.obs/about`, and
counts only while the file is the one that was put: files that jobs or people write are objects just as well. An object
appears whole, by a rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from mrs_emulator.obs import errors, keys

OWN = ".obs"
"""Folder beside the buckets for what is no object; no bucket can have this name."""

_NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True, slots=True)
class About:
    """
    What is known of an object beside its bytes.

    Attributes:
        etag: entity tag, without quotation marks.
        headers: content type and the like, and `meta-` headers without their prefix.
        size: of the file that it belongs to, in bytes.
        changed_ns: when that file was last changed.
    """

    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    size: int = 0
    changed_ns: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """
    An object as a reader sees it.

    Attributes:
        key: its key.
        size: in bytes.
        changed_ms: when it was last changed, in milliseconds since the epoch.
        etag: entity tag, without quotation marks.
        headers: as in `About`.
    """

    key: str
    size: int
    changed_ms: int
    etag: str
    headers: Mapping[str, str]


class Store:
    """
    The folder that plays OBS.

    Args:
        root: returns it; it may not exist yet.
    """

    def __init__(self, root: Callable[[], Path]) -> None:
        self._root = root
        self._lock = threading.RLock()

    @property
    def lock(self) -> threading.RLock:
        """Held while names change."""
        return self._lock

    def own(self, *names: str) -> Path:
        """Return a folder for what is no object, made now."""
        path = self._root().joinpath(OWN, *names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def incoming(self) -> Path:
        """Return a name for a file that is being received."""
        return self.own("incoming") / secrets.token_hex(16)

    def buckets(self) -> list[tuple[str, int]]:
        """Return names of buckets, and when they were last changed, in milliseconds since the epoch."""
        root = self._root()
        return sorted(
            (one.name, one.stat().st_mtime_ns // 1_000_000)
            for one in _entries(root)
            if keys.is_folder(one.name) and one.is_dir(follow_symlinks=False)
        )

    def bucket(self, name: str) -> Path:
        """
        Return the folder of a bucket.

        Raises:
            ObsError: NoSuchBucket.
        """
        path = self._root() / name
        if not keys.is_folder(name) or path.is_symlink() or not path.is_dir():
            raise errors.ObsError("NoSuchBucket", BucketName=name[:200])
        return path

    def create_bucket(self, name: str) -> None:
        """
        Make a bucket.

        Raises:
            ObsError: InvalidBucketName, BucketAlreadyOwnedByYou.
        """
        if not keys.may_be_created(name):
            raise errors.ObsError("InvalidBucketName", BucketName=name[:200])
        self._root().mkdir(parents=True, exist_ok=True)
        try:
            (self._root() / name).mkdir()
        except FileExistsError as error:
            raise errors.ObsError("BucketAlreadyOwnedByYou", BucketName=name) from error

    def delete_bucket(self, name: str) -> None:
        """
        Remove an empty bucket.

        Raises:
            ObsError: NoSuchBucket, BucketNotEmpty.
        """
        path = self.bucket(name)
        with self._lock:
            if any(self.walk(name, "")):
                raise errors.ObsError("BucketNotEmpty", BucketName=name)
            shutil.rmtree(path)
            shutil.rmtree(self.own("about") / name, ignore_errors=True)

    def open(self, bucket: str, key: str) -> tuple[BinaryIO, Found]:
        """
        Return an object, open for reading; the caller closes it.

        Raises:
            ObsError: NoSuchBucket, NoSuchKey.
        """
        with self._lock:  # while an object is put, the file is there before what is known of it
            path = self.locate(bucket, key)
            try:
                file = path.open("rb")
            except _NO_FILE as error:
                raise errors.ObsError("NoSuchKey", Key=key) from error
            return file, self._found(bucket, key, os.fstat(file.fileno()))

    def look(self, bucket: str, key: str) -> Found:
        """
        Return an object without its bytes.

        Raises:
            ObsError: NoSuchBucket, NoSuchKey.
        """
        file, found = self.open(bucket, key)
        file.close()
        return found

    def put(self, bucket: str, key: str, fresh: Path, about: About) -> None:
        """
        Let a file that was received become an object.

        Raises:
            ObsError: NoSuchBucket; AccessDenied, the key leads out of the bucket by a link.
        """
        with self._lock:
            path = self._made(self.bucket(bucket), keys.parts(key), key)
            fresh.replace(path)
            seen = path.stat()
            place = self._about(bucket, key)
            place.parent.mkdir(parents=True, exist_ok=True)
            kept = About(about.etag, about.headers, seen.st_size, seen.st_mtime_ns)
            place.write_bytes(msgspec.json.encode(kept))

    def delete(self, bucket: str, key: str) -> None:
        """
        Remove an object, and folders that are empty then; what is not there is no error.

        Raises:
            ObsError: NoSuchBucket.
        """
        base = self.bucket(bucket)
        with self._lock:
            path = self.locate(bucket, key)
            with contextlib.suppress(*_NO_FILE):
                path.unlink()
            _prune(path.parent, base)
            about = self._about(bucket, key)
            about.unlink(missing_ok=True)
            _prune(about.parent, self.own("about"))

    def walk(self, bucket: str, prefix: str) -> Iterator[str]:
        """
        Yield the keys that begin with a prefix, in no order.

        Raises:
            ObsError: NoSuchBucket.
        """
        base = self.bucket(bucket)
        folder, _, _ = prefix.rpartition("/")
        names = keys.parts(folder) if folder else []
        start = base.joinpath(*names)
        if start.resolve() != base.resolve().joinpath(*names):
            return
        for path in _files(start):
            key = keys.key(list(path.relative_to(base).parts))
            if key is not None and key.startswith(prefix):
                yield key

    def locate(self, bucket: str, key: str) -> Path:
        """
        Return the file of a key; it need not exist.

        Raises:
            ObsError: NoSuchBucket; NoSuchKey, it leads out of the bucket by a link.
        """
        base = self.bucket(bucket)
        path = base.joinpath(*keys.parts(key))
        if path.resolve() != base.resolve().joinpath(*keys.parts(key)):
            raise errors.ObsError("NoSuchKey", Key=key)
        return path / keys.SELF if path.is_dir() else path

    def _made(self, base: Path, names: list[str], key: str) -> Path:
        """Return the file of a key, with its folders; an object in the way of a folder moves into it."""
        path = base.joinpath(*names)
        if path.resolve() != base.resolve().joinpath(*names):
            raise errors.ObsError("AccessDenied", "the key leads out of its bucket", Key=key)
        for parent in (*reversed(path.relative_to(base).parents[:-1]),):
            folder = base / parent
            if folder.is_file():
                aside = self.incoming()
                folder.replace(aside)
                folder.mkdir()
                aside.replace(folder / keys.SELF)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path / keys.SELF if path.is_dir() else path

    def _about(self, bucket: str, key: str) -> Path:
        names = keys.parts(key)
        return self.own("about").joinpath(bucket, *names[:-1], f"{names[-1]}{keys.MARK}a")

    def _found(self, bucket: str, key: str, seen: os.stat_result) -> Found:
        about = None
        with contextlib.suppress(*_NO_FILE, msgspec.DecodeError):
            about = msgspec.json.decode(self._about(bucket, key).read_bytes(), type=About)
        if about is None or (about.size, about.changed_ns) != (seen.st_size, seen.st_mtime_ns):
            about = About(_tag_of_file(seen))
        return Found(key, seen.st_size, seen.st_mtime_ns // 1_000_000, about.etag, about.headers)


def _tag_of_file(seen: os.stat_result) -> str:
    """Return an entity tag for a file that was not put here; the dash says that it is no digest of the bytes."""
    text = f"{seen.st_ino}.{seen.st_size}.{seen.st_mtime_ns}"
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}-1"


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links are no files."""
    for one in _entries(folder):
        if one.is_dir(follow_symlinks=False):
            yield from _files(Path(one.path))
        elif one.is_file(follow_symlinks=False):
            yield Path(one.path)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing, where it is not there."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except _NO_FILE:
        return []


def _prune(folder: Path, base: Path) -> None:
    """Remove a folder and those above it, up to `base`, while they are empty."""
    while folder != base and folder.is_relative_to(base):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
