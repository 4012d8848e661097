"""When certificates expire, read from files as people have them."""

from __future__ import annotations

import datetime as dt
import pathlib

import pytest
import trustme
from cryptography import x509

from mrs_relay.common import certificates


def _issued(expires: dt.datetime) -> tuple[bytes, float]:
    """Return a certificate that expires at a moment, and the moment as another library reads it."""
    pem = trustme.CA().issue_cert("relay.test", not_after=expires).cert_chain_pems[0].bytes()
    return pem, x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


@pytest.mark.parametrize(
    "expires",
    [dt.datetime(2026, 12, 24, 18, 30, 15, tzinfo=dt.UTC), dt.datetime(2061, 1, 2, 3, 4, 5, tzinfo=dt.UTC)],
    ids=["two digits for the year", "four digits for the year"],
)
def test_the_end_of_a_certificate_is_what_another_library_reads(tmp_path: pathlib.Path, expires: dt.datetime) -> None:
    """Both forms of X.509's times."""
    pem, end_s = _issued(expires)
    (tmp_path / "one.pem").write_bytes(pem)
    assert certificates.ends_s(tmp_path / "one.pem") == [end_s]


def test_a_chain_counts_until_its_first_end_and_authorities_until_their_last(tmp_path: pathlib.Path) -> None:
    """A chain breaks with any of its certificates; an old authority may stay beside its successor."""
    soon, soon_s = _issued(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
    later, later_s = _issued(dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    path = tmp_path / "both.pem"
    path.write_bytes(b"key or comment\n" + later + soon)
    found = certificates.expiries([("kafka.security.cert_file", path), ("kafka.security.ca_file", path)])
    assert found == {"kafka.security.cert_file": soon_s, "kafka.security.ca_file": later_s}


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_readable_certificate_is_left_out(tmp_path: pathlib.Path, text: str) -> None:
    """The relay goes on; the log names the setting."""
    path = tmp_path / "none.pem"
    path.write_text(text)
    assert certificates.expiries([("mrs.ca_file", path), ("mrs.ca_file", tmp_path / "absent.pem")]) == {}
    with pytest.raises(ValueError, match=r"none\.pem"):
        certificates.ends_s(path)
