"""Who may ask: this machine's own names, no other site, and not too often; and where the API listens."""

from __future__ import annotations

import pydantic
import pytest
from tests.support import cells, web_role

from mrs_relay.api import settings

_REFUSED: dict[tuple[str, str], str] = {
    ("Host", "attacker.example"): "foreign-host",
    ("Host", "attacker.example:8090"): "foreign-host",
    ("Host", "127.0.0.1.attacker.example"): "foreign-host",
    ("Host", "10.0.0.1"): "foreign-host",
    ("Origin", "https://attacker.example"): "foreign-origin",
    ("Origin", "null"): "foreign-origin",
    ("Origin", "http://127.0.0.1:1"): "foreign-origin",
    ("Host", "mrs.example"): "foreign-host",
    ("Origin", "https://mrs.example"): "foreign-origin",
}


async def test_requests_for_other_names_and_from_other_sites_are_refused() -> None:
    """A page of another site can make a browser send requests here, by a name of its own for this address."""
    async with web_role.role(web_role.Stage()) as client:
        for (name, value), kind in _REFUSED.items():
            with cells.cell(name, value):
                problem = await client.get("/v1/requests", status=403, headers={name: value})
                assert problem["type"] == f"urn:mrs-relay:problem:{kind}"

        for host in ("localhost", "localhost:8090", "127.0.0.1", "[::1]:8090"):
            with cells.cell(host):
                await client.get("/v1/requests", headers={"Host": host})
        await client.get("/v1/requests", headers={"Origin": client.url})


async def test_more_requests_than_allowed_are_told_when_to_come_again_and_probes_are_not_counted() -> None:
    """One client that asks in a loop must not take the service from the others."""
    async with web_role.role(web_role.Stage(), web_role.chosen(api={"requests_per_s": 1})) as client:
        await client.get("/v1/requests")
        await client.get("/v1/requests")
        async with client.session.get(f"{client.url}/v1/requests") as response:
            assert response.status == 429
            assert int(response.headers["Retry-After"]) >= 1
            assert (await response.json(content_type=None))["type"] == "urn:mrs-relay:problem:too-many-requests"
        await client.get("/health")
        await client.get("/ready")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "relay.example", ""])  # noqa: S104 - they are refused
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    """As long as nothing says who may call, the API does not start where strangers could ask."""
    with pytest.raises(pydantic.ValidationError, match=r"expected a loopback address such as 127\.0\.0\.1, got"):
        settings.ApiSettings(host=host)


async def test_names_of_the_settings_are_accepted_and_pages_at_them_may_ask() -> None:
    """Behind a proxy that speaks TLS, browsers know the service by another address than it does itself."""
    api = {"addresses": ["https://mrs.example", "http://relay:8090"]}
    async with web_role.role(web_role.Stage(), web_role.chosen(api=api)) as client:
        for host in ("mrs.example", "mrs.example:443", "RELAY:8090"):
            with cells.cell(host):
                await client.get("/v1/requests", headers={"Host": host, "Origin": "https://mrs.example"})
        for refused in ({"Host": "mrs.example:8090"}, {"Host": "relay"}, {"Host": "x.mrs.example"}):
            with cells.cell(refused):
                await client.get("/v1/requests", status=403, headers=refused)
        for origin in ("http://mrs.example", "https://mrs.example.attacker.example", "https://mrs.example:8443"):
            with cells.cell(origin):
                await client.get("/v1/requests", status=403, headers={"Origin": origin})


async def test_a_browser_says_which_site_asks() -> None:
    """Where a request has no Origin, as for images and scripts; a link that a person follows is harmless."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    async with web_role.role(web_role.Stage()) as client:
        for accepted in ({"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}, link):
            with cells.cell(accepted):
                await client.get("/v1/requests", headers=accepted)
        for changes in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors"}):
            with cells.cell(changes):
                await client.get("/v1/requests", status=403, headers={**link, **changes})
        await client.post("/v1/requests/r-1/cancel", {}, 403, link)
        await client.get("/v1/requests", status=403, headers={"Sec-Fetch-Site": "same-site"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_a_loopback_address_is_accepted(host: str) -> None:
    """Only programs of this machine reach it."""
    assert settings.ApiSettings(host=host).host == host
