"""TLS of clients and servers: certificates and authorities are reloaded when their files change."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from mrs_relay import errors

log = structlog.get_logger(__name__)


class RotatingContext(ssl.SSLContext):
    """
    A TLS context that follows its files; `rotating` makes one.

    Each new connection checks whether a file has changed and then begins with a new context, so that a removed
    authority is no longer trusted. If the files cannot be read (half written, not yet there), the former context stays
    in force and a warning is logged.
    """

    _files: Sequence[Path]
    _make: Callable[[], ssl.SSLContext]
    _current: ssl.SSLContext
    _seen: tuple[object, ...]

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - handed through
        """Begin a connection with the present files; asyncio and uvloop begin all TLS connections by this method."""
        return self._fresh().wrap_bio(*args, **options)

    def _fresh(self) -> ssl.SSLContext:
        seen = _stamps(self._files)
        if seen != self._seen:
            files = [str(path) for path in self._files]
            try:
                self._current = self._make()
            except (OSError, ssl.SSLError) as error:
                log.warning("certificates_not_reloaded", files=files, error=str(error))
            else:
                self._seen = seen
                log.info("certificates_reloaded", files=files)
        return self._current


def rotating(files: Sequence[Path], make: Callable[[], ssl.SSLContext]) -> RotatingContext:
    """
    Make a context that is replaced when one of its files has changed.

    Args:
        files: to watch; a swapped link, as Kubernetes does with mounted secrets, is a change, too.
        make: makes a context from the files.

    Raises:
        OSError, ssl.SSLError: a file cannot be used.
    """
    context = RotatingContext(ssl.PROTOCOL_TLS_CLIENT)
    context._files, context._make = files, make  # noqa: SLF001 - SSLContext.__new__ has no room for arguments of ours
    context._seen = _stamps(files)  # noqa: SLF001 - the same
    context._current = make()  # noqa: SLF001 - the same
    return context


def trusting(ca_file: Path, setting: str) -> ssl.SSLContext:
    """
    Make a client's context that trusts the authorities of a file, which it follows.

    Raises:
        SettingsError: the file cannot be used; the error names the setting.
    """
    try:
        return rotating([ca_file], lambda: ssl.create_default_context(cafile=ca_file))
    except (OSError, ssl.SSLError) as error:
        raise errors.SettingsError(f"{setting} {ca_file} cannot be used: {error}") from error


def _stamps(files: Sequence[Path]) -> tuple[object, ...]:
    return tuple(map(_stamp, files))


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
