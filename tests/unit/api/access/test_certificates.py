"""Mutual TLS: the owner of a client certificate is the caller, also after the files have changed."""

from __future__ import annotations

import asyncio
import pathlib
import ssl
from typing import Any

import aiohttp
import pydantic
import pytest
import trustme
from aiohttp import test_utils, web
from cryptography import x509
from tests.support import access, web_role

from mrs_relay.api import settings
from mrs_relay.api.access import callers, certificates
from mrs_relay.messages import codec, envelope


class _Papers:
    """An authority, the server's files, and clients' certificates."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))

    def client(self, name: str) -> trustme.LeafCert:
        """Return a client's certificate with this common name."""
        return self.authority.issue_cert("client.example", common_name=name)

    def context(self, shown: trustme.LeafCert | None) -> ssl.SSLContext:
        """Return TLS of a client that trusts the server and shows a certificate."""
        context = ssl.create_default_context(cadata=self.authority.cert_pem.bytes().decode())
        if shown is not None:
            shown.configure_cert(context)
        return context

    def chosen(self, **grants: str) -> Any:
        """Return settings of a web role that speaks TLS."""
        tls = {"certificate": self.folder / "server.pem", "client_authorities": self.folder / "ca.pem"}
        return {"tls": tls, "access": {"certificates": grants}}


def _subject(issued: trustme.LeafCert) -> str:
    """Return the subject of a certificate, as another library writes it; each of trustme's is another one."""
    return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).subject.rfc4514_string()


@pytest.fixture
def papers(tmp_path: pathlib.Path) -> _Papers:
    """Fresh ones."""
    return _Papers(tmp_path)


async def test_the_owner_of_a_certificate_is_the_caller(papers: _Papers) -> None:
    """By its whole subject; who has no certificate, or one of a stranger, is not."""
    nightly = papers.client("nightly")
    api = papers.chosen(**{_subject(nightly): "viewer@etl"})
    stage = access.stage()
    await access.put_requests(stage)
    async with web_role.running(stage, web_role.chosen(api=api, tenants=access.TENANTS)) as port:
        url = f"https://127.0.0.1:{port}/v1/requests"
        for shown, status in ((nightly, 200), (papers.client("nightly"), 403), (None, 401)):
            async with aiohttp.ClientSession() as session, session.get(url, ssl=papers.context(shown)) as reply:
                assert reply.status == status
                assert "Strict-Transport-Security" in reply.headers
                if status == 401:
                    assert reply.headers["WWW-Authenticate"].startswith("Certificate")

        stranger = papers.context(trustme.CA().issue_cert("client.example"))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(url, ssl=stranger)


def test_a_subject_is_written_as_rfc_4514_says() -> None:
    """The last part comes first; special characters are escaped, so that no subject looks like another."""
    parts = ((("countryName", "CN"),), (("organizationName", "A, B"),), (("commonName", "#x+"),))
    assert certificates.subject(parts) == "CN=\\#x\\+,O=A\\, B,C=CN"
    assert certificates.subject(((("commonName", "a"), ("userId", "b")),)) == "CN=a+UID=b"


def test_a_long_or_strange_subject_names_its_owner_in_messages_too() -> None:
    """Messages and records drop names of more than 512 characters, and control characters; grants go by the whole."""
    first, second = "a" * 600 + "1", "a" * 600 + "2"
    owners = certificates.Owners({f"CN={first}": "viewer@*", f"CN={second}": "operator@*"})
    found = [owners.caller(_shows(name)) for name in (first, second, "b\n\x00é")]
    names = [one.name or "" for one in found if one is not None]
    assert [one.grants for one in found if one is not None][:2] == [
        {"*": callers.Role.VIEWER},
        {"*": callers.Role.OPERATOR},
    ]
    assert names[0][:180] == names[1][:180] == f"CN={'a' * 177}"
    assert names[0] != names[1]
    assert names[2] == "CN=b\\0A\\00é"
    for name in names:
        value = codec.encode({"id": "r-1", "type": "mrs.sql.submit", "data": {}, "authid": name})
        assert envelope.read("mrs.requests", value, ()).sender == envelope.Sender(name)


def _shows(name: str) -> web.Request:
    """Return a request of a connection with a certificate of this common name."""
    transport = asyncio.Transport({"peercert": {"subject": ((("commonName", name),),)}})
    return test_utils.make_mocked_request("GET", "/", transport=transport)


def test_certificates_without_authorities_are_refused() -> None:
    """Nobody would have checked them."""
    with pytest.raises(pydantic.ValidationError, match=r"client certificates need api\.tls\.client_authorities"):
        settings.ApiSettings.model_validate({"access": {"certificates": {"CN=a": "viewer@*"}}})
