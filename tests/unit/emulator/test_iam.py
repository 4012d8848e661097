"""IAM on MRS's port: tokens by password and agency, temporary keys, projects, and what MRS says to each of them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from tests.support import clocks
from tests.unit.emulator import http_client

from mrs_emulator.core import core, ids, settings, wire
from mrs_emulator.iam import signature

OTHER = "ffffffffffffffffffffffffffffffff"
JOBS = f"/v2/{http_client.PROJECT}/clusters/{http_client.CLUSTER}/job-executions"
OWN = {"project": {"id": http_client.PROJECT}}


def signed_in(**changes: Any) -> http_client.Client:
    """Return a desk at an emulator that checks who calls, with a second project of the same account."""
    clock = clocks.HandClock()
    iam = {"projects": [{"project_id": OTHER, "name": "cn-north-4_other"}], **changes.pop("iam", {})}
    return http_client.Client(core.Emulator(http_client.options(auth=True, iam=iam, **changes), clock), clock)


async def send(
    client: http_client.Client, verb: str, url: str, body: object = None, headers: dict[str, str] | None = None
) -> wire.Reply:
    data = b"" if body is None else msgspec.json.encode(body)
    return await client.emulator.handle(wire.Request.of(verb, url, headers or {}, data))


def by_password(scope: object = None, **user: object) -> dict[str, Any]:
    """Return the body of a token request."""
    who = {"name": "emulator", "password": "emulator-password", "domain": {"name": "emulator-account"}, **user}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
    return {"auth": auth | ({"scope": scope} if scope is not None else {})}


async def token(
    client: http_client.Client, body: dict[str, Any], headers: dict[str, str] | None = None
) -> tuple[str, dict[str, Any]]:
    """Fetch a token, expect success: its text and what is reported of it."""
    reply = await send(client, "POST", "/v3/auth/tokens", body, headers)
    assert reply.status == 201, reply.body
    assert reply.headers["X-IAM-Trace-Id"]
    return reply.headers["X-Subject-Token"], reply.json()["token"]


def signed(
    client: http_client.Client,
    verb: str,
    url: str,
    key: tuple[str, str],
    extra: dict[str, str] | None = None,
    body: bytes = b"",
) -> wire.Request:
    """Return a request signed now, by the emulator's clock, over all of its headers."""
    now = dt.datetime.fromtimestamp(client.clock.now_ms() / 1000, tz=dt.UTC)
    headers = {"host": "iam", "x-sdk-date": now.strftime("%Y%m%dT%H%M%SZ"), **(extra or {})}
    bare = wire.Request.of(verb, url, headers, body)
    to_sign = signature.string_to_sign(headers["x-sdk-date"], signature.canonical_request(bare, list(headers)))
    names = ";".join(sorted(headers))
    value = f"SDK-HMAC-SHA256 Access={key[0]}, SignedHeaders={names}, Signature={signature.signature(key[1], to_sign)}"
    return wire.Request.of(verb, url, headers | {"authorization": value}, body)


def own_key() -> tuple[str, str]:
    one = settings.Credential()
    return one.access_key, one.secret_key.get_secret_value()


async def listing(client: http_client.Client, text: str) -> tuple[int, str]:
    """Return status and code of a job list asked for with a token."""
    reply = await send(client, "GET", JOBS, headers={"X-Auth-Token": text})
    return reply.status, "" if reply.status < 300 else f"{http_client.code(reply)} {reply.json()['error_msg']}"


async def test_token_by_password_opens_mrs_until_it_expires() -> None:
    """24 hours by the clock; a newer token does not end an older one; a dead one says when it died."""
    client = signed_in()
    text, reported = await token(client, by_password(OWN))
    assert reported["issued_at"] == "2026-11-23T08:00:00.000000Z"
    assert reported["expires_at"] == "2026-11-24T08:00:00.000000Z"
    assert (reported["project"]["id"], reported["project"]["name"], reported["user"]["name"]) == (
        http_client.PROJECT, "cn-north-4", "emulator",
    )  # fmt: skip
    client.clock.pass_s(86_399)
    newer, _ = await token(client, by_password({"project": {"name": "cn-north-4"}}))
    assert await listing(client, text) == (202, "")
    client.clock.pass_s(1)
    why = "Incorrect IAM authentication information: token expires, expires_at: 2026-11-24T08:00:00.000000Z"
    assert await listing(client, text) == (401, f"APIGW.0301 {why}")
    assert await listing(client, newer) == (202, "")


async def test_dead_token_can_be_reported_as_0307() -> None:
    """The other documented answer."""
    client = signed_in(iam={"expired_as": "APIGW.0307", "token_lifetime_s": 10})
    text, _ = await token(client, by_password(OWN))
    client.clock.pass_s(10)
    assert await listing(client, text) == (401, "APIGW.0307 The token must be updated")


async def test_token_that_does_not_fit_mrs() -> None:
    """Unknown: 0301; of another project: 0310; without a project: 0302; none at all: 0301."""
    client = signed_in()
    assert (await listing(client, "nonsense"))[1].endswith("decrypt token fail")

    foreign, _ = await token(client, by_password({"project": {"id": OTHER}}))
    assert (await listing(client, foreign))[1].startswith("APIGW.0310")

    for scope in (None, {"domain": {"name": "emulator-account"}}):
        domain, reported = await token(client, by_password(scope))
        assert "project" not in reported
        assert reported["domain"]["name"] == "emulator-account"
        assert (await listing(client, domain))[1].startswith("APIGW.0302")

    partner, _ = await token(
        client,
        by_password(None, name="partner", password="partner-password", domain={"name": "partner-account"}),  # noqa: S106 - the public default
    )

    assert (await listing(client, partner))[0] == 403

    nothing = await send(client, "GET", JOBS)
    assert nothing.json()["error_msg"].endswith("x-auth-token not found")


@pytest.mark.parametrize(
    ("body", "status", "title"),
    [
        (by_password(OWN, password="wrong"), 401, "Unauthorized"),  # noqa: S106 - wrong on purpose
        (by_password(OWN, name="nobody"), 401, "Unauthorized"),
        (by_password(OWN, domain={"name": "elsewhere"}), 401, "Unauthorized"),
        (by_password({"project": {"name": "nowhere"}}), 401, "Unauthorized"),
        (by_password({"domain": {"name": "elsewhere"}}), 401, "Unauthorized"),
        (by_password({"project": {}}), 400, "Bad Request"),
        (by_password(OWN, domain=None), 400, "Bad Request"),
        ({"auth": {"identity": {"methods": ["totp"]}}}, 400, "Bad Request"),
        ({"auth": {"identity": {"methods": ["password"]}}}, 400, "Bad Request"),
        ({"auth": []}, 400, "Bad Request"),
        ([], 400, "Bad Request"),
    ],
)
async def test_refused_token_has_the_shape_of_iam(body: object, status: int, title: str) -> None:
    """`error` with code, message and title; never a token."""
    reply = await send(signed_in(), "POST", "/v3/auth/tokens", body)
    assert reply.status == status
    assert (reply.json()["error"]["code"], reply.json()["error"]["title"]) == (status, title)
    assert "X-Subject-Token" not in reply.headers


async def test_catalog_names_the_place_where_the_client_came_in() -> None:
    """Clients that look MRS up find it; nocatalog leaves it out."""
    client = signed_in()
    reply = await send(client, "POST", "/v3/auth/tokens", by_password(OWN), {"Host": "127.0.0.1:8181"})
    places = {one["type"]: one["endpoints"][0]["url"] for one in reply.json()["token"]["catalog"]}
    assert places["mrs"] == "http://127.0.0.1:8181/v1.1"
    bare = await send(client, "POST", "/v3/auth/tokens?nocatalog=true", by_password(OWN))
    assert "catalog" not in bare.json()["token"]


def assuming(scope: object = None, **role: object) -> dict[str, Any]:
    """Return the body of a token request by agency."""
    order = {"agency_name": "mrs-agency", "domain_name": "emulator-account", **role}
    return {"auth": {"identity": {"methods": ["assume_role"], "assume_role": order}, "scope": scope or OWN}}


async def partner_token(client: http_client.Client) -> str:
    body = by_password(None, name="partner", password="partner-password", domain={"name": "partner-account"})  # noqa: S106 - the public default
    return (await token(client, body))[0]


async def test_agency_lets_a_user_of_another_account_in() -> None:
    """The token is for the delegating account's project, and says who assumed the role."""
    client = signed_in()
    header = {"X-Auth-Token": await partner_token(client)}
    text, reported = await token(client, assuming(), header)
    assert (reported["project"]["id"], reported["assumed_by"]["user"]["name"]) == (http_client.PROJECT, "partner")
    assert await listing(client, text) == (202, "")
    by_id = assuming(domain_name=None, domain_id=ids.derived("domain", "emulator-account"))
    assert (await token(client, by_id, header))[0]


async def test_agency_that_does_not_fit_is_refused() -> None:
    """No token 401, no such agency 404, an account it does not trust 403, no scope 400."""
    client = signed_in()
    header = {"X-Auth-Token": await partner_token(client)}
    own = {"X-Auth-Token": (await token(client, by_password(OWN)))[0]}
    no_scope = {"auth": {"identity": assuming()["auth"]["identity"]}}
    for body, headers, status in (
        (assuming(), {}, 401),
        (assuming(), {"X-Auth-Token": "nonsense"}, 401),
        (assuming(agency_name="nothing"), header, 404),
        (assuming(), own, 403),
        (no_scope, header, 400),
        (assuming(agency_name=None), header, 400),
    ):
        assert (await send(client, "POST", "/v3/auth/tokens", body, headers)).status == status


def key_order(method: str = "token", **order: object) -> bytes:
    return msgspec.json.encode({"auth": {"identity": {"methods": [method], method: order}}})


KEYS = "/v3.0/OS-CREDENTIAL/securitytokens"


async def test_temporary_key_signs_until_it_expires() -> None:
    """From a token, in the body as the vendor's SDK sends it or in the header; then X-Security-Token must be sent."""
    client = signed_in()
    text, _ = await token(client, by_password(OWN))
    reply = await client.emulator.handle(wire.Request.of("POST", KEYS, {}, key_order(id=text, duration_seconds=900)))

    assert reply.status == 201

    found = reply.json()["credential"]
    assert found["expires_at"] == "2026-11-23T08:15:00.000000Z"

    key, extra = (found["access"], found["secret"]), {"x-security-token": found["securitytoken"]}
    assert (await client.emulator.handle(signed(client, "GET", JOBS, key, extra))).status == 202

    bare = await client.emulator.handle(signed(client, "GET", JOBS, key))
    assert bare.json()["error_msg"].endswith("decrypt token fail")

    client.clock.pass_s(900)
    dead = await client.emulator.handle(signed(client, "GET", JOBS, key, extra))
    assert (dead.status, http_client.code(dead)) == (401, "APIGW.0301")

    again = await client.emulator.handle(wire.Request.of("POST", KEYS, {"X-Auth-Token": text}, key_order()))
    assert again.status == 201


async def test_temporary_key_by_agency_needs_a_user_it_trusts() -> None:
    """A partner's token opens the other account; a signed call of our own account does not."""
    client = signed_in()
    order = key_order("assume_role", agency_name="mrs-agency", domain_name="emulator-account", duration_seconds=3600)
    header = {"X-Auth-Token": await partner_token(client)}
    found = (await client.emulator.handle(wire.Request.of("POST", KEYS, header, order))).json()["credential"]
    extra = {"x-security-token": found["securitytoken"]}
    reply = await client.emulator.handle(signed(client, "GET", JOBS, (found["access"], found["secret"]), extra))
    assert reply.status == 202
    assert (await client.emulator.handle(signed(client, "POST", KEYS, own_key(), body=order))).status == 403
    assert (await client.emulator.handle(signed(client, "POST", KEYS, own_key(), body=key_order()))).status == 201


@pytest.mark.parametrize(
    "body",
    [key_order(duration_seconds=899), key_order(duration_seconds=86_401), key_order(duration_seconds="900"),
     key_order("password"), key_order("assume_role"), b"{"],
)  # fmt: skip
async def test_wrong_order_for_a_key_is_400(body: bytes) -> None:
    """900 to 86400 seconds, by token or by agency."""
    client = signed_in()
    reply = await client.emulator.handle(signed(client, "POST", KEYS, own_key(), body=body))
    assert (reply.status, reply.json()["error"]["title"]) == (400, "Bad Request")


async def test_projects_are_found_by_region_name() -> None:
    """Signed or by token; other accounts see none of them."""
    client = signed_in()
    url = "/v3/projects?name=cn-north-4"
    found = (await client.emulator.handle(signed(client, "GET", url, own_key()))).json()["projects"]

    assert [one["id"] for one in found] == [http_client.PROJECT]

    text, _ = await token(client, by_password())
    whole = await send(client, "GET", "/v3/projects", headers={"X-Auth-Token": text})
    assert [one["name"] for one in whole.json()["projects"]] == ["cn-north-4", "cn-north-4_other"]

    second = await send(client, "GET", "/v3/projects?per_page=1&page=2", headers={"X-Auth-Token": text})
    assert [one["id"] for one in second.json()["projects"]] == [OTHER]

    partner = await send(client, "GET", url, headers={"X-Auth-Token": await partner_token(client)})
    assert partner.json()["projects"] == []
    assert (await send(client, "GET", "/v3/projects?page=0", headers={"X-Auth-Token": text})).status == 400
    assert (await send(client, "GET", url)).json()["error"]["code"] == 401

    domains = await send(client, "GET", "/v3/auth/domains", headers={"X-Auth-Token": text})
    assert [one["name"] for one in domains.json()["domains"]] == ["emulator-account"]


async def test_key_is_locked_after_more_than_five_wrong_signatures_where_chosen() -> None:
    """Off by default; a right signature in between starts the count again; the lock ends."""
    for lock_s, status in ((0, 202), (60, 401)):
        client = signed_in(iam={"lock_key_s": lock_s})
        key = own_key()
        for _ in range(5):
            await client.emulator.handle(signed(client, "GET", JOBS, (key[0], "wrong")))
        assert (await client.emulator.handle(signed(client, "GET", JOBS, key))).status == 202
        for _ in range(6):
            await client.emulator.handle(signed(client, "GET", JOBS, (key[0], "wrong")))
        assert (await client.emulator.handle(signed(client, "GET", JOBS, key))).status == status
        client.clock.pass_s(60)
        assert (await client.emulator.handle(signed(client, "GET", JOBS, key))).status == 202


async def test_what_iam_gives_out_is_not_repeated_in_texts() -> None:
    """A key's repr names it and no more."""
    client = signed_in()
    key = client.emulator._gate._known.key(own_key()[0])
    assert own_key()[1] not in repr(key)


async def test_catalog_is_read_with_a_token_and_with_nothing_is_401() -> None:
    """The same services as in a token, beside links."""
    client = signed_in()
    text, members = await token(client, by_password(OWN))
    reply = await send(client, "GET", "/v3/auth/catalog", headers={"X-Auth-Token": text})
    assert (reply.status, reply.json()["catalog"]) == (200, members["catalog"])
    assert reply.json()["links"]["self"].endswith("/v3/auth/catalog")
    assert (await send(client, "GET", "/v3/auth/catalog")).status == 401


async def test_versions_of_iam_are_told_to_anybody() -> None:
    """300 for the list and 200 for version 3, as documented; a client that wants HTML gets the page instead."""
    client = signed_in()
    listed = await send(client, "GET", "/", headers={"Accept": "application/json", "Host": "iam:80"})
    (version,) = listed.json()["versions"]["values"]
    assert (listed.status, version["id"], version["links"][0]["href"]) == (300, "v3.6", "http://iam:80/v3/")
    for path in ("/v3", "/v3/"):
        shown = await send(client, "GET", path, headers={"Host": "iam:80"})
        assert (shown.status, shown.json()) == (200, {"version": version})
    page = await send(client, "GET", "/", headers={"Accept": "text/html,*/*"})
    assert page.content_type.startswith("text/html")
