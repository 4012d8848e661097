"""Read when the certificates of a PEM file expire: X.509's DER as far as the field of the validity."""

from __future__ import annotations

import datetime as dt
import pathlib
import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from prometheus_client import core

from mrs_relay.common import metric_families

_log = structlog.get_logger(__name__)

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION_TAG: Final = 0xA0
_UTC_TIME_TAG: Final = 0x17
_LONG_LENGTH: Final = 0x80
_BEFORE_VALIDITY: Final = 3
"""Fields between the version and the validity: serial number, signature algorithm, issuer."""


def ends_s(path: pathlib.Path) -> list[float]:
    """
    Return when each certificate of a file expires, in the file's order, in seconds since the epoch.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate, or one that cannot be read.
    """
    texts = _PEM.findall(path.read_text(encoding="ascii", errors="replace"))
    if not texts:
        raise ValueError(f"{path}: expected a certificate in PEM form, got none")
    try:
        return [_end_s(ssl.PEM_cert_to_DER_cert(text)) for text in texts]
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path}: a certificate in it cannot be read") from error


def expiries(files: Sequence[tuple[str, pathlib.Path]]) -> dict[str, float]:
    """
    Return when the certificate of each setting expires; the earliest, if several tenants have files of their own.

    A file of authorities may hold old ones beside their successors: it counts until the last of them expires.
    """
    found: dict[str, float] = {}
    for name, path in files:
        try:
            moments_s = ends_s(path)
        except (OSError, ValueError) as error:
            _log.warning("certificate_unreadable", setting=name, error=str(error))
            continue
        end_s = max(moments_s) if name.endswith("ca_file") else min(moments_s)
        found[name] = min(end_s, found.get(name, end_s))
    return found


def family(found: Mapping[str, float]) -> core.Metric:
    """Return the metric of what `expiries` found."""
    expires = metric_families.Values(
        "gauge",
        "mrs_relay_certificate_not_after_seconds",
        "When a certificate of the settings expires, seconds since the epoch; for authorities, the last of the file.",
        ["setting"],
    )
    for setting, end_s in found.items():
        expires.add([setting], end_s)
    return expires.family()


def _end_s(der: bytes) -> float:
    """Return the notAfter of one certificate (RFC 5280, section 4.1)."""
    _, at, _ = _element(der, 0)  # Certificate
    _, at, _ = _element(der, at)  # TBSCertificate
    tag, _, after = _element(der, at)
    at = after if tag == _VERSION_TAG else at
    for _ in range(_BEFORE_VALIDITY):
        _, _, at = _element(der, at)

    _, at, _ = _element(der, at)  # Validity
    _, _, at = _element(der, at)  # notBefore
    tag, begin, end = _element(der, at)
    text = der[begin:end].decode("ascii")
    if tag == _UTC_TIME_TAG:
        text = ("20" if text < "50" else "19") + text
    return dt.datetime.strptime(text.replace("Z", "+0000"), "%Y%m%d%H%M%S%z").timestamp()


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the element at an offset, where its content begins, and where it ends."""
    length, begin = der[at + 1], at + 2
    if length & _LONG_LENGTH:
        size = length & ~_LONG_LENGTH
        length, begin = int.from_bytes(der[begin : begin + size], "big"), begin + size
    return der[at], begin, begin + length
