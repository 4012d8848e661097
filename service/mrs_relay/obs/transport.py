"""Define the interface to the library that speaks with OBS: `Transport`, `OpenObject`, and the `Keys` that it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pydantic

from mrs_relay.obs import paths


class Keys(Protocol):
    """A key pair of the cloud, as the client of MRS has one, too; equal if all parts are."""

    @property
    def access(self) -> str:
        """Access key id (AK)."""

    @property
    def secret(self) -> pydantic.SecretStr:
        """Secret access key (SK)."""

    @property
    def token(self) -> pydantic.SecretStr | None:
        """Security token of a temporary pair."""


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """A key pair for OBS alone; its repr shows nothing secret. See `Keys`."""

    access: str
    secret: pydantic.SecretStr
    token: pydantic.SecretStr | None = None


class Listed(NamedTuple):
    """
    An object of a listing.

    Attributes:
        key: its key. NB: the library drops a slash at the end of a key, so an empty object may stand for a folder.
        size: in bytes.
        tag: its entity tag, which is another one when the object has another content.
    """

    key: str
    size: int
    tag: str


class OpenObject(Protocol):
    """An object whose reading has begun."""

    @property
    def size(self) -> int:
        """Bytes of the whole object."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield its content in pieces; raises ObsError as `Transport.open` does."""


@dataclass(frozen=True, slots=True)
class Head:
    """
    What OBS says of an object.

    Attributes:
        size: bytes of the whole object.
        tag: names its content; None: OBS does not say it.
    """

    size: int
    tag: str | None = None


class Transport(Protocol):
    """Speak with OBS, once for each call; a deadline is the caller's."""

    async def open(self, place: paths.Place, keys: Keys) -> OpenObject:
        """
        Begin to read an object.

        Raises:
            ObsMissing: there is no such object. ObsRefused: final. ObsDown: try again.
        """

    async def head(self, place: paths.Place, keys: Keys) -> Head:
        """Return what OBS says of an object; raises as `open` does."""

    def part(self, place: paths.Place, keys: Keys, head: Head, span: tuple[int, int]) -> AsyncIterator[bytes]:
        """
        Yield a part of an object in pieces, from one offset to another, if it is still the one of `head`.

        Raises:
            ObsMissing, ObsRefused, ObsDown: as `open` does; ObsDown: it has been replaced.
        """

    def listed(self, folder: paths.Place, keys: Keys) -> AsyncIterator[Sequence[Listed]]:
        """
        Yield the objects below a folder, some at a time, in any order.

        Raises:
            ObsMissing: there is no such bucket. ObsRefused: final. ObsDown: try again.
        """

    async def delete(self, bucket: str, names: Sequence[str], keys: Keys) -> None:
        """
        Remove objects of a bucket by their keys; those that are not there are no error.

        Keys with a slash at their end stand for folders: they are removed last, in the order in which they are given.

        Raises:
            ObsMissing: there is no such bucket. ObsRefused: final. ObsDown: some may be gone; try again.
        """

    async def tail(self, place: paths.Place, keys: Keys, most_bytes: int) -> tuple[bytes, int]:
        """
        Read the last bytes of an object; return them, and the bytes of the whole object.

        Raises:
            ObsMissing: there is no such object. ObsRefused: final. ObsDown: try again.
        """

    async def sign(self, place: paths.Place, keys: Keys, life_s: int) -> str:
        """
        Return an address at which the object can be read without keys for so many seconds; nothing is sent.

        Raises:
            ObsRefused: the library cannot make one.
        """
