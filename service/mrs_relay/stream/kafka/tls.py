"""TLS to the brokers: certificates and authorities that are read again when their files change."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import structlog

from mrs_relay.stream import security as security_settings

log = structlog.get_logger(__name__)


class RotatingContext(ssl.SSLContext):
    """
    A TLS context that follows its files.

    Each new connection asks whether a file has changed and then begins with a context made anew, so that an authority
    that was taken out is trusted no more. Files that cannot be read (half written, not yet there) leave the former ones
    in force, and a warning. Make one by `rotating`.
    """

    _security: security_settings.Security
    _current: ssl.SSLContext
    _seen: tuple[object, ...]

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401 - handed through
        """Begin a connection with the files as they are now; asyncio and uvloop begin all of theirs here."""
        return self._fresh().wrap_bio(*args, **options)

    def _fresh(self) -> ssl.SSLContext:
        seen = _stamps(self._security)
        if seen != self._seen:
            try:
                self._current = _context(self._security)
            except (OSError, ssl.SSLError) as error:
                log.warning("kafka_certificates_not_reloaded", error=str(error))
            else:
                self._seen = seen
                log.info("kafka_certificates_reloaded")
        return self._current


def rotating(security: security_settings.Security) -> RotatingContext:
    """
    Read the files and return the context.

    Raises:
        OSError, ssl.SSLError: a file cannot be used.
    """
    context = RotatingContext(ssl.PROTOCOL_TLS_CLIENT)
    context._seen = _stamps(security)  # noqa: SLF001 - SSLContext.__new__ leaves no room for arguments of ours
    context._current = _context(security)  # noqa: SLF001 - the same
    context._security = security  # noqa: SLF001 - the same
    return context


def _context(security: security_settings.Security) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=security.ca_file)
    context.check_hostname = security.verify_host
    if security.cert_file is not None:
        password = security.key_password.get_secret_value() if security.key_password is not None else None
        context.load_cert_chain(security.cert_file, security.key_file, password)
    return context


def _stamps(security: security_settings.Security) -> tuple[object, ...]:
    """Say by what a change of the files is noticed; a link that is swapped, as Kubernetes does, is a change, too."""
    return tuple(_stamp(path) for path in (security.ca_file, security.cert_file, security.key_file) if path is not None)


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
