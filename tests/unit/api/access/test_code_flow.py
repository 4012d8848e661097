"""People log in at their OpenID Connect provider: authorization code flow with PKCE, state and nonce."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydantic
import pytest
import structlog
from joserfc import jwk
from tests.support import access, cells, logins, oidc_provider, ports, web_role

from mrs_relay.api import settings
from mrs_relay.common import clock

_GRANTS = {"data-team": "operator@etl", "readers": "viewer@*"}
_NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@contextlib.asynccontextmanager
async def asked(**chosen: Any) -> AsyncIterator[tuple[oidc_provider.Provider, logins.Browser, web_role.Stage]]:
    """Yield a provider, a browser without cookies, and the topics; the role runs on a port that the provider knows."""
    stage, port = access.stage(), ports.free_port()
    await access.put_requests(stage)

    async with oidc_provider.serving() as provider:
        provider.claims = {"groups": ["data-team"], **_times()}
        given = {
            "issuer": provider.url,
            "audience": oidc_provider.AUDIENCE,
            "grants": _GRANTS,
            "client_id": oidc_provider.CLIENT,
            "redirect_uri": f"http://127.0.0.1:{port}/login/callback",
            **chosen,
        }

        api = {"port": port, "access": {"oidc": given}}
        async with (
            web_role.role(stage, web_role.chosen(api=api, tenants=access.TENANTS)) as client,
            logins.browser(client.url) as browser,
        ):
            yield provider, browser, stage


def _times() -> dict[str, int]:
    """Return the role has the clock of this machine."""
    now_s = clock.SystemClock().now_ms() // 1000
    return {"iat": now_s, "exp": now_s + 300}


async def test_a_person_who_logs_in_at_the_provider_may_do_what_the_claim_says() -> None:
    """As with an access token; the browser returns to the page that was wanted, and holds one cookie."""
    async with asked() as (provider, browser, stage):
        assert "Log in at your provider" in (await browser.ask("GET", "/requests/etl-1")).text
        back = await browser.at_provider("/requests/etl-1")
        done = await browser.ask("GET", back.target, logins.FOREIGN | {"Sec-Fetch-Mode": "navigate"})
        assert done.status == 403  # a script of another site
        done = await browser.ask("GET", back.target, _NAVIGATION)
        assert (done.status, done.target) == (303, "/requests/etl-1")
        assert "Cancel this request" in (await browser.ask("GET", done.target)).text
        assert "operator@etl" in (await browser.ask("GET", "/login")).text
        answer = await browser.ask("POST", "/v1/requests/etl-1/cancel", json={"note": "late"})
        assert answer.status == 202
        [sent] = access.written(stage, "etl")
        assert b'"authid":"ann"' in (sent.value or b"")
        assert b'"authtype":"user"' in (sent.value or b"")

        [(form, headers)] = provider.exchanges
        assert form["client_id"] == oidc_provider.CLIENT
        assert "Authorization" not in headers
        repeated = await browser.ask("GET", back.target, _NAVIGATION)
        assert (repeated.status, repeated.cookies) == (401, [])  # its cookie is gone


async def test_a_client_with_a_secret_proves_itself_and_a_wrong_secret_logs_no_browser_in(
    tmp_path: pathlib.Path,
) -> None:
    """By HTTP basic authentication; the secret may be in a file, which is read at each login."""
    file = tmp_path / "secret"
    file.write_text("s3 cret\n")
    async with asked(client_secret_file=str(file)) as (provider, browser, _stage):
        provider.secret = file.read_text().strip()
        done = await browser.ask("GET", (await browser.at_provider()).target)
        assert done.status == 303
        file.write_text("wrong")
        done = await browser.ask("GET", (await browser.at_provider()).target)
        assert (done.status, done.cookies) == (401, [])
        assert "invalid_grant" in done.text
        file.unlink()
        assert (await browser.ask("GET", (await browser.at_provider()).target)).status == 503


async def test_what_a_provider_quotes_in_a_refusal_is_not_shown() -> None:
    """It may be the secret of this client, or the code of a login; a word such as `invalid_grant` is shown."""
    async with asked(client_secret="hunter2-secret") as (provider, browser, _stage):  # noqa: S106 - the test's
        provider.secret, provider.quotes = "another", True
        with structlog.testing.capture_logs() as logs:
            done = await browser.ask("GET", (await browser.at_provider()).target)
            other = await browser.ask("GET", (await browser.at_provider()).target + "&error=hunter2 quoted")
        assert (done.status, other.status) == (401, 401)
        [(form, headers)] = provider.exchanges
        for secret in ("hunter2", form["code"], form["code_verifier"], headers["Authorization"]):
            assert secret not in done.text + other.text + str(logs)


async def test_answers_that_do_not_belong_to_the_login_of_this_browser_are_refused() -> None:
    """State, nonce, issuer and the verifier each bind the answer to the browser that has begun."""
    async with asked() as (_provider, browser, _stage), logins.browser(browser.url) as another:
        back = (await browser.at_provider()).target
        assert (await another.ask("GET", back)).status == 401  # has begun nothing

        begun = (await another.at_provider()).target
        mixed = back.replace(_query(back)["state"], _query(begun)["state"])

        refused = {
            "another state": back.replace(_query(back)["state"], "x"),
            "no state": back.replace("state", "stat"),
            "another issuer": back.replace("iss=", "iss=x"),
            "an error": f"{back}&error=access_denied",
            "a made-up code": back.replace(_query(back)["code"], "x"),
        }

        for name, address in refused.items():
            with cells.cell(name):
                answer = await browser.ask("GET", address, _NAVIGATION)
                assert (answer.status, answer.cookies) == (401, [])

        # The code of one login with the state of another: the verifier does not fit.
        answer = await another.ask("GET", mixed, _NAVIGATION)
        assert (answer.status, answer.cookies) == (401, [])


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": oidc_provider.AUDIENCE},
        {"aud": None},
        {"azp": "another-client"},
        {"aud": [oidc_provider.CLIENT, "another-service"]},
        {"iss": "https://other.example"},
        {"exp": 1},
        {"sub": None},
        {"groups": ["football"]},
        {"groups": None},
    ],
)
async def test_id_tokens_for_another_login_client_or_time_log_no_browser_in(claims: dict[str, Any]) -> None:
    """Nor does one of a person who has no role here."""
    async with asked() as (provider, browser, _stage):
        provider.claims = {**provider.claims, **claims}
        answer = await browser.ask("GET", (await browser.at_provider()).target)
        assert (answer.status, answer.cookies) == (401, [])


@pytest.mark.parametrize(
    ("access", "status"),
    [
        ({"groups": ["readers"]}, 303),
        ({"groups": ["readers"], "aud": "another-service"}, 401),
        ({"groups": ["readers"], "sub": "bob"}, 401),
        ({"groups": ["football"]}, 401),
        (None, 401),
    ],
)
async def test_a_claim_that_only_the_access_token_has_counts_if_that_is_for_this_service(
    access: dict[str, Any] | None, status: int
) -> None:
    """Some providers write roles into access tokens alone."""
    async with asked() as (provider, browser, _stage):
        provider.claims.pop("groups")
        provider.access = None if access is None else {**provider.claims, **access}
        answer = await browser.ask("GET", (await browser.at_provider()).target)
        assert (answer.status, len(answer.cookies)) == (status, 2 if status == 303 else 0)


async def test_an_id_token_of_a_stranger_logs_no_browser_in() -> None:
    """Its signature must be of a key that the provider shows."""
    async with asked() as (provider, browser, _stage):
        back = (await browser.at_provider()).target
        provider.key = jwk.ECKey.generate_key("P-256", {"kid": str(provider.key.kid)})
        answer = await browser.ask("GET", back)
        assert (answer.status, answer.cookies) == (401, [])


async def test_a_provider_that_is_away_is_no_refusal() -> None:
    """Who logs in learns that it is to be tried again."""
    async with asked() as (provider, browser, _stage):
        back = (await browser.at_provider()).target
        provider.is_away = True
        answer = await browser.ask("GET", back)
        assert (answer.status, answer.cookies) == (503, [])
        assert "Retry-After" in answer.headers
    async with asked() as (provider, browser, _stage):
        provider.is_away = True
        assert (await browser.ask("GET", "/login/start")).status == 503


async def test_a_login_leads_to_no_other_site() -> None:
    """Whatever the link to it names."""
    async with asked() as (_provider, browser, _stage):
        for target in ("//attacker.example", "https://attacker.example", "/%5Cattacker.example"):
            with cells.cell(target):
                done = await browser.ask("GET", (await browser.at_provider(target)).target)
                assert (done.status, done.target) == (303, "/")


async def test_answers_that_belong_to_no_login_keep_no_one_from_logging_in() -> None:
    """Without the cookie of a login nothing is tried, so many such calls are no reason to wait."""
    async with asked() as (_provider, browser, _stage):
        for _ in range(12):
            assert (await browser.ask("GET", "/login/callback?code=x&state=y", _NAVIGATION)).status == 401
        back = await browser.at_provider()
        assert (await browser.ask("GET", back.target, _NAVIGATION)).status == 303


async def test_where_no_one_logs_in_at_a_provider_there_is_no_such_path(tmp_path: pathlib.Path) -> None:
    """Tokens alone are no reason to ask a provider."""
    known = access.Callers(tmp_path)
    async with web_role.role(access.stage(), known.chosen()) as client, logins.browser(client.url) as browser:
        for path in ("/login/start", "/login/callback?code=x&state=y"):
            assert (await browser.ask("GET", path)).status == 404


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"client_id": "x"}, "expected both, or neither"),
        ({"redirect_uri": "https://mrs.example/login/callback"}, "expected both, or neither"),
        ({"client_id": "x", "redirect_uri": "https://mrs.example/"}, "pattern"),
        ({"client_id": "x", "redirect_uri": "http://mrs.example/login/callback"}, "expected https://"),
        ({"scope": "profile"}, "pattern"),
        ({"client_secret": "a", "client_secret_file": "b"}, "expected one of them"),
    ],
)
def test_settings_of_half_a_client_are_refused(given: dict[str, Any], words: str) -> None:
    """Before the start, with what to change."""
    whole = {"issuer": "https://login.example", "audience": "mrs-relay", **given}
    with pytest.raises(pydantic.ValidationError, match=words):
        settings.ApiSettings.model_validate({"access": {"oidc": whole}})


def _query(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
