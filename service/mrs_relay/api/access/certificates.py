"""TLS of the API, and the names in client certificates."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from typing import Final

from aiohttp import web

from mrs_relay import errors
from mrs_relay.api.access import callers, settings
from mrs_relay.common import tls

_SHORT: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
_ESCAPED: Final = ',+"\\<>;'
_MOST_NAME: Final = 200
_KEPT_NAME: Final = 180


def server_context(chosen: settings.TlsSettings) -> ssl.SSLContext | None:
    """
    Return the TLS context of the server, which follows its files; None: it speaks plain HTTP.

    Clients need no certificate to connect: probes have none, and there may be other ways to authenticate. What one
    shows must be of the accepted authorities.

    Raises:
        SettingsError: a file cannot be used.
    """
    if chosen.certificate is None:
        return None
    certificate, key, authorities = chosen.certificate, chosen.key, chosen.client_authorities

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        if authorities is not None:
            context.load_verify_locations(authorities)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    files = [file for file in (certificate, key, authorities) if file is not None]
    try:
        return tls.rotating(files, make)
    except (OSError, ssl.SSLError) as error:
        raise errors.SettingsError(f"api.tls: the files cannot be used: {error}") from error


class Owners:
    """
    What owners of client certificates may do.

    Args:
        grants: by subject.
    """

    def __init__(self, grants: Mapping[str, str]) -> None:
        self._grants = {subject: callers.read_grants(text) for subject, text in grants.items()}

    def caller(self, request: web.Request) -> callers.Caller | None:
        """Return the owner of the connection's client certificate; None: it has none."""
        transport = request.transport
        found = None if transport is None else transport.get_extra_info("peercert")
        if not found:
            return None
        name = subject(found["subject"])
        return callers.Caller("service_account", _short(name), self._grants.get(name, {}))


def subject(parts: Iterable[Iterable[tuple[str, str]]]) -> str:
    """
    Return the subject of a certificate as text; `parts` is what `ssl` calls `subject`.

    Source: RFC 4514, sections 2.1 to 2.4: the last part comes first, and special characters are escaped.
    """
    names = ["+".join(f"{_SHORT.get(kind, kind)}={_escaped(text)}" for kind, text in part) for part in parts]
    return ",".join(reversed(names))


def _short(name: str) -> str:
    """Return the name of a caller for messages and records, which drop longer ones; its digest keeps it unique."""
    if len(name) <= _MOST_NAME:
        return name
    return f"{name[:_KEPT_NAME]}…{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _escaped(text: str) -> str:
    escaped = "".join(f"\\{one}" if one in _ESCAPED else _visible(one) for one in text)
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    return escaped[:-1] + "\\ " if escaped.endswith(" ") and len(escaped) > 1 else escaped


def _visible(one: str) -> str:
    """Return a character, one that cannot be printed as the hexadecimal pairs of its bytes."""
    return one if one.isprintable() else "".join(f"\\{byte:02X}" for byte in one.encode(errors="surrogatepass"))
