"""
Speak with OBS through obstore, the only module that imports it.

obstore's errors become ours here. It repeats no read: one that failed is repeated by who waits for it. Keys come
with each call, because temporary ones change, and never from the environment, which obstore would read otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import pathlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final, Self
from urllib import parse

import obstore
from obstore import exceptions, store

from mrs_relay import errors
from mrs_relay.obs import paths, settings, transport

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Credential

_CHUNK_BYTES: Final = 256 * 1024
"""Smallest piece of an object that is handed on: large enough that Python's part of the work is small."""

_LARGE_CHUNK_BYTES: Final = 1024 * 1024
"""The same of an object that is streamed: it is not parsed."""

_PAGE: Final = 1000
"""Objects that a reply of a listing has at most, by the API."""

_MOST_STORES: Final = 16
"""Buckets whose connections are kept; a further one replaces the one that was opened first."""

_PARTS_AT_ONCE: Final = 4
"""Parts of an object that are sent at the same time; memory holds so many, and one more."""

_STOP_S: Final = 10.0
"""Longest wait, in seconds, until the parts of a stopped upload are removed."""

_MOST_WORDS: Final = 300

_BODY: Final = re.compile(r"\s*<.*", re.DOTALL)
"""The body of OBS's reply: it may quote the access key id and the security token that were sent."""

_CODE: Final = re.compile(r"<Code>(\w{1,60})</Code>")

_MISSING: Final = (exceptions.NotFoundError, FileNotFoundError)

_REFUSED: Final = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, exceptions.InvalidPathError)


class _Opened:
    """An object whose reading has begun."""

    def __init__(self, found: obstore.GetResult, place: paths.Place) -> None:
        self._found = found
        self._place = place

    @property
    def size(self) -> int:
        """Bytes of the whole object."""
        return self._found.meta["size"]

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content in pieces."""
        try:
            async for piece in self._found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(piece)
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, self._place) from error


class _Stoppable:
    """Pieces of an object to write; after `stopped` the next one is an error, and obstore removes the parts sent."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces
        self.stopped = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self.stopped:
            raise errors.ObsDown("the upload was stopped")
        return await anext(self._pieces)


class ObstoreTransport:
    """
    The way to OBS.

    Args:
        group: where it is, and how long to wait; with endpoint and region.
        repeats: how often a request that got no answer is sent again; only for what has the same effect every time.
    """

    def __init__(self, group: settings.ObsSettings, repeats: int = 0) -> None:
        self._group = group
        self._repeats = repeats
        self._options = _options(group)
        self._stores: dict[str, tuple[transport.Keys, store.S3Store]] = {}

    async def open(self, place: paths.Place, keys: transport.Keys) -> transport.OpenObject:
        """Begin to read an object."""
        try:
            return _Opened(await obstore.get_async(self._store(place, keys), place.key), place)
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place) from error

    async def head(self, place: paths.Place, keys: transport.Keys) -> transport.Head:
        """Return what OBS says of an object."""
        try:
            found = await obstore.head_async(self._store(place, keys), place.key)
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place) from error
        return transport.Head(found["size"], found["e_tag"])

    async def part(
        self, place: paths.Place, keys: transport.Keys, head: transport.Head, span: tuple[int, int]
    ) -> AsyncIterator[bytes]:
        """Yield a part of an object, if it is still the same."""
        options: GetOptions = {"range": span}
        if head.tag is not None:
            options["if_match"] = head.tag
        try:
            found = await obstore.get_async(self._store(place, keys), place.key, options=options)
            async for piece in found.stream(min_chunk_size=_LARGE_CHUNK_BYTES):
                yield bytes(piece)
        except exceptions.PreconditionError as error:
            raise errors.ObsDown(f"{place} was replaced while it was read") from error
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place) from error

    async def listed(self, folder: paths.Place, keys: transport.Keys) -> AsyncIterator[Sequence[transport.Listed]]:
        """Yield the objects below a folder, a page at a time. NB: no key has its slash at the end."""
        try:
            pages = obstore.list(self._store(folder, keys), folder.key.removesuffix("/"), chunk_size=_PAGE)
            async for page in pages:
                yield [transport.Listed(one["path"], one["size"], one["e_tag"] or "") for one in page]
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, folder, "list") from error

    async def delete(self, bucket: str, names: Sequence[str], keys: transport.Keys) -> None:
        """Remove objects of a bucket by their keys, those that stand for folders last."""
        place = paths.Place(bucket, "")
        try:
            if objects := [name for name in names if not name.endswith("/")]:
                with contextlib.suppress(*_MISSING):
                    await obstore.delete_async(self._store(place, keys), objects)
            for name in names:
                if name.endswith("/"):
                    with contextlib.suppress(*_MISSING):
                        await obstore.delete_async(self._made(bucket, keys, name), "")
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place, "remove objects of") from error

    async def tail(self, place: paths.Place, keys: transport.Keys, most_bytes: int) -> tuple[bytes, int]:
        """
        Read the last bytes of an object.

        The size is asked for first: OBS documents ranges with a beginning alone. Source: GetObject, header Range.
        """
        bucket = self._store(place, keys)
        try:
            size = (await obstore.head_async(bucket, place.key))["size"]
            if not size:
                return b"", 0
            begin = max(0, size - most_bytes)
            return bytes(await obstore.get_range_async(bucket, place.key, start=begin, end=size)), size
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place) from error

    async def sign(self, place: paths.Place, keys: transport.Keys, life_s: int) -> str:
        """Return an address at which the object can be read without keys."""
        life = dt.timedelta(seconds=life_s)
        try:
            return await obstore.sign_async(self._store(place, keys), "GET", place.key, life)
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place) from error

    async def size(self, place: paths.Place, keys: transport.Keys) -> int:
        """Return the bytes of an object, without its content."""
        try:
            return (await obstore.head_async(self._store(place, keys), place.key))["size"]
        except (exceptions.BaseError, OSError) as error:
            raise _ours(error, place) from error

    async def put(
        self, place: paths.Place, keys: transport.Keys, pieces: AsyncGenerator[bytes], part_bytes: int
    ) -> None:
        """
        Write an object in parts, so that it is there whole or not at all.

        An error of `pieces` ends it, and removes the parts at OBS, as a cancel of the caller does.
        """
        source = _Stoppable(pieces)
        ended = asyncio.Event()

        async def write() -> None:
            try:
                await obstore.put_async(
                    self._store(place, keys), place.key, source, chunk_size=part_bytes, max_concurrency=_PARTS_AT_ONCE
                )
            except (exceptions.BaseError, OSError) as error:
                raise _ours(error, place, "write") from error
            finally:
                ended.set()

        try:
            await asyncio.shield(write())
        except asyncio.CancelledError:
            source.stopped = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await ended.wait()
            raise

    def _store(self, place: paths.Place, keys: transport.Keys) -> store.S3Store:
        """Return the store of a bucket, with these keys."""
        known = self._stores.get(place.bucket)
        if known is not None and known[0] == keys:
            return known[1]

        self._stores.pop(place.bucket, None)
        if len(self._stores) >= _MOST_STORES:
            del self._stores[next(iter(self._stores))]
        made = self._made(place.bucket, keys)
        self._stores[place.bucket] = keys, made
        return made

    def _made(self, bucket: str, keys: transport.Keys, folder: str = "") -> store.S3Store:
        """
        Return a store of a bucket.

        The library has no keys that end with a slash, but it puts one behind the address of a bucket: where `folder` is
        given, the empty key of the store is the object that stands for this folder, which only `delete` may use.
        """
        group = self._group
        endpoint = group.endpoint or ""
        below = f"/{parse.quote(folder.removesuffix('/'))}" if folder else ""
        if group.path_style:
            bucket += below
        else:
            endpoint = endpoint.replace("://", f"://{bucket}.", 1) + below

        def pair() -> S3Credential:
            return {
                "access_key_id": keys.access,
                "secret_access_key": keys.secret.get_secret_value(),
                "token": None if keys.token is None else keys.token.get_secret_value(),
                "expires_at": None,
            }

        return store.S3Store(
            bucket,
            config={
                "endpoint": endpoint,
                "aws_endpoint_url_s3": endpoint,  # or obstore takes the environment's, which wins over `endpoint`
                "region": group.region or "",
                "virtual_hosted_style_request": not group.path_style,
                "skip_signature": False,
                "disable_bulk_delete": bool(folder),
            },
            client_options=self._options,
            retry_config={"max_retries": self._repeats},
            credential_provider=pair,
        )


def _options(group: settings.ObsSettings) -> ClientConfig:
    options: ClientConfig = {
        "allow_http": group.endpoint is not None and group.endpoint.startswith("http://"),
        "connect_timeout": dt.timedelta(seconds=group.connect_timeout_s),
        "timeout": dt.timedelta(seconds=group.read_timeout_s),
    }
    if group.proxy is not None:
        options["proxy_url"] = group.proxy
    if group.ca_file is not None:
        options["root_certificate"] = _authorities(group.ca_file)
    return options


def _authorities(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.SettingsError(f"obs.ca_file {path} cannot be read: {error.strerror}") from error


def _ours(error: Exception, place: paths.Place, asked: str = "read") -> errors.ObsError:
    """Return our error for one of obstore's, without what may hold a signature or a key."""
    if isinstance(error, _MISSING):
        return errors.ObsMissing(f"OBS has no object {place}")
    if isinstance(error, (*_REFUSED, PermissionError)):
        return errors.ObsRefused(f"OBS does not let us {asked} {place}: {_kind(error)}")
    return errors.ObsDown(f"OBS did not answer as expected, asked to {asked} {place}: {_kind(error)}")


def _kind(error: Exception) -> str:
    """Return the first line of an error, without addresses, and of a reply's body its code alone."""
    text = str(error)
    code = _CODE.search(text)
    words = _BODY.sub("", text.partition("\n")[0]).split()
    shown = " ".join(word for word in words if "://" not in word)[:_MOST_WORDS]
    return f"{shown} {code[1]}" if code is not None else shown
