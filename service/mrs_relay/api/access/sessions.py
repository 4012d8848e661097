"""
Sessions of browsers: a cookie whose content is encrypted, so that every replica with the same key reads it.

Nothing is kept on the server. The cookie says who logged in by what; what that is worth is asked with every request, so
a token that was taken back, and grants that changed, end or change the sessions that rest on them.
"""

from __future__ import annotations

import hashlib
import pathlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from aiohttp import web
from joserfc import errors as jose_errors
from joserfc import jwe, jwk

from mrs_relay import errors
from mrs_relay.api import guards
from mrs_relay.api.access import callers
from mrs_relay.common import clock

_ALGORITHMS: Final = ("dir", "A256GCM")
_HEADER: Final = {"alg": "dir", "enc": "A256GCM"}
_KEY_BYTES: Final = 32
_LEAST_KEY: Final = 32
_MOST_COOKIE: Final = 3_800
"""Browsers keep cookies of up to 4096 bytes, with name and attributes."""

_Content = TypeVar("_Content", bound=msgspec.Struct)


class OfToken(msgspec.Struct, frozen=True, tag="token"):
    """A session of somebody who has a bearer token; `digest` is its SHA-256."""

    digest: bytes


class OfPerson(msgspec.Struct, frozen=True, tag="person"):
    """A session of somebody whom the OpenID Connect provider knows, with the values of the claim that count."""

    issuer: str
    kind: callers.Kind
    name: str
    values: tuple[str, ...]


Content = OfToken | OfPerson


class _Session(msgspec.Struct, frozen=True):
    content: Content
    until_ms: int


@dataclass(frozen=True, slots=True)
class Cookie:
    """
    A cookie that only this service reads.

    Attributes:
        name: of the cookie, without the prefix that it has where browsers speak TLS.
        life_s: how long browsers keep it, in seconds.
    """

    name: str
    life_s: int

    def put(self, response: web.StreamResponse, value: str, *, secure: bool) -> None:
        """Set it; scripts do not see it, and other sites cannot make browsers send it along with a form."""
        name = _secure(self.name) if secure else self.name
        response.set_cookie(name, value, max_age=self.life_s, path="/", secure=secure, httponly=True, samesite="Lax")

    def drop(self, response: web.StreamResponse, *, secure: bool) -> None:
        """Make the browser forget it."""
        for name in (_secure(self.name), self.name) if secure else (self.name,):
            response.set_cookie(name, "", max_age=0, path="/", secure=name != self.name, httponly=True, samesite="Lax")

    def read(self, request: web.Request, own: guards.OwnAddresses) -> str | None:
        """Return its value; where the browser speaks TLS a cookie that plain HTTP may have set does not count."""
        found = request.cookies.get(_secure(self.name))
        return request.cookies.get(self.name) if found is None and not own.is_secure(request) else found


def _secure(name: str) -> str:
    """Return the name of a cookie that browsers take from this host alone, and over TLS. Source: RFC 6265bis, 4.1.3."""
    return f"__Host-{name}"


class Seal:
    """
    Encrypts what browsers keep for us.

    Args:
        keys: secrets; the first encrypts, all decrypt.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def close(self, purpose: str, content: msgspec.Struct) -> str:
        """Encrypt; what was encrypted for one purpose is not readable for another."""
        raw = msgspec.json.encode(content)
        return jwe.encrypt_compact(_HEADER, raw, _key(self._keys[0], purpose), algorithms=list(_ALGORITHMS))

    def open(self, purpose: str, text: str, kind: type[_Content]) -> _Content | None:
        """Decrypt; None: it is not ours."""
        for one in self._keys:
            try:
                found = jwe.decrypt_compact(text, _key(one, purpose), algorithms=list(_ALGORITHMS))
                return msgspec.json.decode(found.plaintext or b"", type=kind)
            except (jose_errors.JoseError, ValueError, msgspec.DecodeError):
                continue
        return None


def _key(secret: bytes, purpose: str) -> jwk.OctKey:
    derived = hashlib.blake2b(purpose.encode(), key=hashlib.sha512(secret).digest(), digest_size=_KEY_BYTES).digest()
    return jwk.OctKey.import_key(derived)


def seal(file: pathlib.Path | None) -> Seal:
    """
    Return what encrypts, by the keys of a file with one a line; without a file by one that is made now.

    Raises:
        SettingsError: it cannot be read, or holds no key.
    """
    if file is None:
        return Seal([secrets.token_bytes(_KEY_BYTES)])
    try:
        keys = [line for line in file.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        text = f"api.access.session_key_file: {file}: {error.strerror}"
        raise errors.SettingsError(text) from error
    if not keys or min(map(len, keys)) < _LEAST_KEY:
        text = (
            f"api.access.session_key_file: {file}: expected a key of at least {_LEAST_KEY} characters a line; "
            "`openssl rand -base64 48` makes one"
        )
        raise errors.SettingsError(text)
    return Seal(keys)


class Sessions:
    """
    Begins, reads and ends sessions.

    Args:
        sealed: encrypts them.
        life_s: how long one lasts, in seconds.
        own: addresses of this service.
        time: the clock.
    """

    _PURPOSE: Final = "session"

    def __init__(self, sealed: Seal, life_s: int, own: guards.OwnAddresses, time: clock.Clock) -> None:
        self._seal = sealed
        self._life_s = life_s
        self._own = own
        self._time = time
        self._cookie = Cookie("mrs-relay-session", life_s)

    def begin(self, response: web.StreamResponse, content: Content, *, secure: bool) -> None:
        """
        Set the cookie of a new session.

        Raises:
            ValueError: browsers would not keep it.
        """
        value = self._seal.close(self._PURPOSE, _Session(content, self._time.now_ms() + self._life_s * 1000))
        if len(value) > _MOST_COOKIE:
            raise ValueError(f"the session takes {len(value)} characters: expected at most {_MOST_COOKIE}")
        self._cookie.put(response, value, secure=secure)

    def end(self, request: web.Request, response: web.StreamResponse) -> None:
        """Make the browser forget the session."""
        self._cookie.drop(response, secure=self._own.is_secure(request))

    def is_claimed(self, request: web.Request) -> bool:
        """Return whether the browser sends a session, good or not."""
        return self._cookie.read(request, self._own) is not None

    def content(self, request: web.Request) -> Content | None:
        """Return who logged in; None: no one, or the session is over."""
        value = self._cookie.read(request, self._own)
        found = None if value is None else self._seal.open(self._PURPOSE, value, _Session)
        return None if found is None or found.until_ms <= self._time.now_ms() else found.content
