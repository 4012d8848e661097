"""
Read, list and remove objects of OBS: within a deadline, a number of places and sizes, and with the keys of the moment.

`Client.read` and `Client.stream` hand an object on piece by piece, so that memory never holds all of it. Nothing but
`delete_objects` changes anything at OBS.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

from mrs_relay import errors
from mrs_relay.common import tasks
from mrs_relay.obs import paths, settings, transport

_TAKE_BYTES: Final = 16 * 1024
"""Bytes that are handed on at once: 16,000 rows at most, which take some 30 ms; other tasks have a turn after them."""

_PART_BYTES: Final = 16 * 1024 * 1024
"""What is asked for at once of an object that is streamed: few requests, each of which needs no long deadline."""

_PIECES_AHEAD: Final = 4
"""Pieces of 1 MiB that have been read and not been handed on, when the next part is asked for."""

GetKeys = Callable[[], transport.Keys | None]
"""Returns the key pair of the moment; None: there is none, or not yet."""

MakeTransport = Callable[[settings.ObsSettings], transport.Transport]
"""Makes the way to OBS; raises SettingsError."""


class Tail(NamedTuple):
    """
    The end of an object.

    Attributes:
        content: its last bytes.
        is_whole: they are all of the object.
    """

    content: bytes
    is_whole: bool


class Client:
    """
    Read objects with deadlines, places and size caps.

    Args:
        group: the limits.
        door: the way to OBS.
        keys: returns the key pair of the moment.
    """

    def __init__(self, group: settings.ObsSettings, door: transport.Transport, keys: GetKeys) -> None:
        self.group = group
        self._door = door
        self._keys = keys
        self._places = asyncio.Semaphore(group.max_reads)
        self._streams = asyncio.Semaphore(group.max_streams)

    async def read(self, place: paths.Place, take: Callable[[bytes], None]) -> int:
        """
        Read an object from its beginning to its end.

        Args:
            place: of the object, checked by the caller.
            take: called with each piece of 16 KiB at most; it must be quick. After an error the pieces so far are void.

        Returns the object's size in bytes.

        Raises:
            ObsMissing: it is not there, or not yet. ObsRefused: final, also for an object that is too large.
            ObsDown: no answer in time, or an object that ends early; try again.
        """
        async with self._in_time(f"answer the read of {place}"), self._places:
            return await self._read(place, take)

    async def stream(self, place: paths.Place) -> AsyncGenerator[bytes, None]:
        """
        Yield an object of any length in pieces of about 1 MiB, while the reader takes its time.

        Only each part of 16 MiB has a deadline, `read_timeout_s`. It is read whole, however slow the reader is; when
        most of it is handed on, the next one is read.

        Raises:
            ObsMissing, ObsRefused, ObsDown: as `read` does.
        """
        async with self._streams:
            async with self._in_time(f"answer the read of {place}"):
                head = await self._door.head(place, self._present_keys())
            most = self.group.max_stream_bytes
            if head.size > most:
                text = f"{place} has {head.size} bytes; at most {most} are written in chunks (obs.max_stream_bytes)"
                raise errors.ObsRefused(text)

            read: asyncio.Queue[bytes | None] = asyncio.Queue()
            wanted = asyncio.Event()
            async with tasks.TaskSupervisor(_awaited) as reading:
                ahead = reading.start(self._read_ahead(place, head, read, wanted), name=f"read {place}")
                while (piece := await read.get()) is not None:
                    if read.qsize() <= _PIECES_AHEAD:
                        wanted.set()
                    yield piece
                await ahead

    async def list_objects(self, folder: paths.Place) -> list[transport.Listed]:
        """
        List what lies below a folder, in the order of the keys; an empty list: nothing.

        The empty object that OBS may keep for the folder itself has the folder's key.

        Raises:
            ObsMissing: there is no such bucket. ObsRefused: final, also for a folder with too many objects.
            ObsDown: no answer in time; try again.
        """
        found: list[transport.Listed] = []
        async with self._in_time(f"list {folder}"), self._places:
            async for some in self._door.listed(folder, self._present_keys()):
                found += [one for one in some if one.key.startswith(folder.key)]
                found += [one._replace(key=folder.key) for one in some if f"{one.key}/" == folder.key and not one.size]
                if len(found) > self.group.max_objects:
                    text = f"{folder} has more than {self.group.max_objects} objects (obs.max_objects)"
                    raise errors.ObsRefused(text)
        return sorted(found)

    async def delete_objects(self, bucket: str, names: Sequence[str]) -> None:
        """
        Remove objects by their keys, see `Transport.delete`; those that are not there are no error.

        Raises:
            ObsMissing: there is no such bucket. ObsRefused: final. ObsDown: some may be gone; try again.
        """
        if not names:
            return
        async with self._in_time(f"remove objects of {bucket}"), self._places:
            await self._door.delete(bucket, names, self._present_keys())

    async def sign(self, place: paths.Place, life_s: int) -> str:
        """
        Return an address at which the object can be read without keys for so many seconds; nothing is sent.

        Raises:
            ObsError: there are no keys, or no address can be made.
        """
        return await self._door.sign(place, self._present_keys(), life_s)

    async def read_tail(self, place: paths.Place, most_bytes: int) -> Tail:
        """
        Read the end of an object.

        Args:
            place: of the object, checked by the caller.
            most_bytes: how much of it is read.

        Raises:
            ObsMissing: it is not there, or not yet. ObsRefused: final. ObsDown: no answer in time; try again.
        """
        async with self._in_time(f"answer the read of {place}"), self._places:
            content, size = await self._door.tail(place, self._present_keys(), most_bytes)
        if len(content) != min(size, most_bytes):
            raise errors.ObsDown(f"the end of {place} has {len(content)} of {min(size, most_bytes)} bytes")
        return Tail(content, is_whole=len(content) == size)

    async def _read(self, place: paths.Place, take: Callable[[bytes], None]) -> int:
        found = await self._door.open(place, self._present_keys())
        most = self.group.max_object_bytes
        if found.size > most:
            raise errors.ObsRefused(f"{place} has {found.size} bytes; at most {most} are read (obs.max_object_bytes)")

        got = 0
        async for piece in found.chunks():
            got += len(piece)
            for begin in range(0, len(piece), _TAKE_BYTES):
                take(piece[begin : begin + _TAKE_BYTES])
                await asyncio.sleep(0)
        if got != found.size:
            raise errors.ObsDown(f"{place} ended after {got} of {found.size} bytes")
        return got

    async def _read_ahead(
        self, place: paths.Place, head: transport.Head, read: asyncio.Queue[bytes | None], wanted: asyncio.Event
    ) -> None:
        """Read all parts of an object; the next one whenever few pieces are left, or it is wanted. None: the end."""
        try:
            for begin in range(0, head.size, _PART_BYTES):
                wanted.clear()
                if read.qsize() > _PIECES_AHEAD:
                    await wanted.wait()
                got, span = begin, (begin, min(begin + _PART_BYTES, head.size))
                async with self._in_time(f"answer the read of {place}"):
                    async for piece in self._door.part(place, self._present_keys(), head, span):
                        got += len(piece)
                        read.put_nowait(piece)
                if got != span[1]:
                    raise errors.ObsDown(f"{place} ended after {got} of {head.size} bytes")
        finally:
            read.put_nowait(None)

    @contextlib.asynccontextmanager
    async def _in_time(self, action: str) -> AsyncIterator[None]:
        """Bound a call to OBS; the error says what it did not do."""
        try:
            async with asyncio.timeout(self.group.read_timeout_s):
                yield
        except TimeoutError as error:
            raise errors.ObsDown(f"OBS did not {action} within {self.group.read_timeout_s:g} s") from error

    def _present_keys(self) -> transport.Keys:
        keys = self._keys()
        if keys is None:
            raise errors.ObsDown(
                "there is no key pair for OBS: set obs.access_key and obs.secret_key, or temporary_keys of the "
                "connection to MRS"
            )
        return keys


def _awaited(_name: str, _error: BaseException) -> None:
    """Do nothing: who awaits the task gets its error."""


def opened(group: settings.ObsSettings, region: str | None, keys: GetKeys, make: MakeTransport) -> Client:
    """
    Return a client of OBS; nothing is sent.

    Args:
        group: the settings.
        region: that of the connection to MRS, for what the settings leave out.
        keys: the key pair of that connection, for settings without one.
        make: makes the way to OBS.

    Raises:
        SettingsError: the settings, or the library, do not let it.
    """
    whole = group.at(region)
    if group.access_key is None or group.secret_key is None:
        return Client(whole, make(whole), keys)
    own = transport.OwnKeys(group.access_key, group.secret_key, group.security_token)
    return Client(whole, make(whole), lambda: own)


def over_network(group: settings.ObsSettings) -> transport.Transport:
    """
    Return the way to OBS over the network, by the library of the extra `obs`.

    Raises:
        SettingsError: it is not installed, or there is no address.
    """
    needing = "results.path and causes.path need"
    if importlib.util.find_spec("obstore") is None:
        raise errors.SettingsError(f"{needing} obstore: install mrs-relay[obs], or leave them out")
    if group.endpoint is None:
        raise errors.SettingsError(f"{needing} the address of OBS: set obs.endpoint or obs.region")
    from mrs_relay.obs import obstore_transport  # noqa: PLC0415 - 10 MB that only those load who read OBS

    return obstore_transport.ObstoreTransport(group)
