"""
Upload files of this machine: each content once, below the sender's folder, so that a request can refer to it.

The object's name begins with the SHA-256 of the content. What is there already, with the same size, is not sent again.
Neighbours: `client.RelayClient.upload` and `cli.uploading` call it, `obstore_transport` writes the parts.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import pathlib
import re
import stat
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mrs_relay import errors
from mrs_relay.obs import paths, settings, transport, upload_settings

PART_BYTES: Final = 8 * 1024 * 1024
"""Source: OBS takes parts of 100 KB to 5 GB, 10,000 of them; S3 wants 5 MiB at least."""

_PIECE_BYTES: Final = 1024 * 1024
_MAX_BYTES: Final = 4 * 1024 * 1024 * 1024
_PART_TIMEOUT_S: Final = 120.0
_REPEATS: Final = 3

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+@-]{0,199}")
"""What Spark, YARN, MRS and a URL all read as one plain word: no space, comma, quote or sign of a shell."""

Progress = Callable[[int, int], None]
"""Called with the bytes that were handed over so far, and with those of the whole file."""


class Door(Protocol):
    """Speak with OBS, once for each call."""

    async def size(self, place: paths.Place, keys: transport.Keys) -> int:
        """Return the bytes of an object; raises ObsMissing, ObsRefused, ObsDown."""

    async def put(
        self, place: paths.Place, keys: transport.Keys, pieces: AsyncGenerator[bytes], part_bytes: int
    ) -> None:
        """Write an object, whole or not at all; an error of `pieces` ends it. Raises ObsRefused, ObsDown."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """
    A file of this machine as it was when it was looked at.

    Attributes:
        path: where it is.
        size_bytes: of its content.
        sha256: of its content, in hexadecimal digits.
    """

    path: pathlib.Path
    size_bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """The last step of its path, which its object keeps: modules of Python are imported by it."""
        return self.path.name


class Uploader:
    """
    Upload files into one folder.

    Args:
        folder: the sender's folder.
        limits: of one file; see `UploadSettings`.
        door: the way to OBS.
        keys: the sender's key pair.
    """

    def __init__(
        self, folder: paths.Place, limits: upload_settings.UploadSettings, door: Door, keys: transport.Keys
    ) -> None:
        self._folder = folder
        self._max_bytes = limits.max_bytes or _MAX_BYTES
        self._door = door
        self._keys = keys

    async def upload(self, path: str | pathlib.Path, progress: Progress | None = None) -> str:
        """
        Put a file where jobs find it, unless it is there already; returns its `obs://` path.

        Raises:
            BadFile: it cannot be read, is too large, has a name that jobs cannot take, or changed meanwhile.
            ObsRefused: final. ObsDown: try again; what was sent of it is removed.
        """
        file = await self.look_at(path)
        await self.send(file, progress)
        return str(self.place(file))

    async def look_at(self, path: str | pathlib.Path) -> LocalFile:
        """Read a file's size and digest; nothing is sent. Raises BadFile."""
        return await asyncio.to_thread(_looked_at, pathlib.Path(path), self._max_bytes)

    def place(self, file: LocalFile) -> paths.Place:
        """Return where a file's content belongs."""
        return paths.parse(f"{self._folder}{file.sha256}/{file.name}")

    async def send(self, file: LocalFile, progress: Progress | None = None) -> bool:
        """
        Send a file unless its object is there; returns whether it was sent.

        Raises:
            BadFile, ObsRefused, ObsDown: see `upload`.
        """
        place = self.place(file)
        if await self._is_there(place, file):
            return False
        await self._door.put(place, self._keys, _pieces(file, progress or _silent), PART_BYTES)
        return True

    async def _is_there(self, place: paths.Place, file: LocalFile) -> bool:
        try:
            return await self._door.size(place, self._keys) == file.size_bytes
        except errors.ObsMissing:
            return False


def opened(group: settings.ObsSettings, limits: upload_settings.UploadSettings) -> Uploader:
    """
    Return what uploads files of a sender; nothing is sent.

    Args:
        group: where OBS is, and the sender's own keys.
        limits: its folder and limits.

    Raises:
        SettingsError: the extra `obs`, the folder, the address or the keys are missing; says which.
    """
    if limits.path is None:
        raise errors.SettingsError("there is no folder for uploads: set uploads.path, such as obs://lake/programs")
    if importlib.util.find_spec("obstore") is None:
        raise errors.SettingsError("uploads need obstore: install mrs-relay[obs]")
    if group.access_key is None or group.secret_key is None:
        raise errors.SettingsError("uploads need keys of OBS of your own: set obs.access_key and obs.secret_key")
    whole = group.at(None).model_copy(update={"read_timeout_s": limits.part_timeout_s or _PART_TIMEOUT_S})
    if whole.endpoint is None:
        raise errors.SettingsError("uploads need the address of OBS: set obs.endpoint or obs.region")
    from mrs_relay.obs import obstore_transport  # noqa: PLC0415 - 10 MB that only those load who upload

    door = obstore_transport.ObstoreTransport(whole, _REPEATS)
    keys = transport.OwnKeys(group.access_key, group.secret_key, group.security_token)
    return Uploader(paths.folder(limits.path), limits, door, keys)


def _looked_at(path: pathlib.Path, max_bytes: int) -> LocalFile:
    if not _NAME.fullmatch(path.name):
        raise errors.BadFile(
            f"{path}: the name of a file to upload has letters, digits and . _ = + @ - alone, 200 at most; rename it"
        )

    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise errors.BadFile(f"{path} is no file; pack a folder into one, such as a .zip or a .jar")
        if not found.st_size:
            raise errors.BadFile(f"{path} is empty")

        if found.st_size > max_bytes:
            raise errors.BadFile(
                f"{path} has {found.st_size} bytes; at most {max_bytes} are uploaded (uploads.max_bytes)"
            )

        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise errors.BadFile(f"{path} cannot be read: {error.strerror}") from error

    return LocalFile(path, size, digest)


async def _pieces(file: LocalFile, progress: Progress) -> AsyncGenerator[bytes]:
    """Yield a file's content; an error at its end, before the object exists, if it is no longer what was looked at."""
    digest = hashlib.sha256()
    given = 0
    try:
        with file.path.open("rb") as opened_file:
            while piece := await asyncio.to_thread(opened_file.read, _PIECE_BYTES):
                digest.update(piece)
                yield piece
                given += len(piece)
                progress(given, file.size_bytes)
    except OSError as error:
        raise errors.BadFile(f"{file.path} cannot be read: {error.strerror}") from error
    if digest.hexdigest() != file.sha256:
        raise errors.BadFile(f"{file.path} changed while it was uploaded; upload it again")


def _silent(given: int, total: int) -> None:
    del given, total
