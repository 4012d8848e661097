"""JSON Web Tokens of an OpenID Connect provider: whose they are, which are refused, and when its keys are fetched."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from joserfc import jwk, jws, jwt
from tests.support import cells, clocks, oidc_provider, web_role

from mrs_relay.api.access import callers, oidc, settings

_Role = callers.Role


@contextlib.asynccontextmanager
async def reading(**chosen: Any) -> AsyncIterator[tuple[oidc_provider.Provider, oidc.Provider, clocks.HandClock]]:
    """Yield a provider, what reads its tokens, and the time."""
    async with oidc_provider.serving() as provider, aiohttp.ClientSession() as session:
        time = clocks.HandClock(web_role.NOW_MS)
        given = settings.OidcSettings(issuer=provider.url, audience=oidc_provider.AUDIENCE, **chosen)
        yield provider, oidc.Provider(given, session, time), time


async def test_a_claim_says_what_the_owner_of_a_token_may_do() -> None:
    """By the map of the settings, or as ROLE@TENANT; groups of something else count for nothing."""
    grants = {"data-team": "operator@etl,viewer@*", "on-call": "admin@etl"}
    async with reading(grants=grants) as (provider, tokens, _):
        found = await tokens.caller(provider.token(groups=["data-team", "on-call", "football"]))
        assert found == callers.Caller("user", "ann", {"etl": _Role.ADMIN, "*": _Role.VIEWER})
        assert (await tokens.caller(provider.token(groups="data-team"))).grants["etl"] is _Role.OPERATOR
        for none in (None, 7, ["football"], {"a": 1}):
            assert (await tokens.caller(provider.token(groups=none))).grants == {}
    async with reading(claim="access.roles") as (provider, tokens, _):
        found = await tokens.caller(provider.token(access={"roles": ["viewer@bi", "offline"]}, azp="ann"))
        assert found == callers.Caller("service_account", "ann", {"bi": _Role.VIEWER})


async def test_tokens_that_are_not_for_this_service_or_not_now_are_refused() -> None:
    """Each fault alone suffices."""
    now_s = web_role.NOW_MS // 1000
    faults: list[dict[str, Any]] = [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": None},
        {"exp": now_s - 60},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": now_s + 600},
        {"sub": None},
        {"sub": 7},
        {"sub": ""},
        {"sub": "a" * 201},
    ]

    async with reading() as (provider, tokens, _):
        assert (await tokens.caller(provider.token(aud=["x", oidc_provider.AUDIENCE]))).name == "ann"
        for fault in faults:
            with cells.cell(fault), pytest.raises(oidc.BadToken):
                await tokens.caller(provider.token(**fault))


async def test_signatures_of_strangers_are_refused() -> None:
    """Of another key, of the public key as a shared secret, of none; and what is no token."""
    async with reading() as (provider, tokens, _):
        stranger = jwk.ECKey.generate_key("P-256")
        good = provider.token()
        head, body, _signature = good.split(".")

        forged = [
            provider.token(stranger),
            _signed_with_the_public_key(provider),
            f"{head}.{body}.",
            f"{head}..{_signature}",
            "eyJhbGciOiJub25lIn0.e30.",
            "a.b.c",
            "..",
            "é.é.é",
            "eyJ.eyJ.eyJ",
            good[:-4] + "AAAA",
        ]

        for token in forged:
            with cells.cell(token[:20]), pytest.raises(oidc.BadToken):
                await tokens.caller(token)


def _signed_with_the_public_key(provider: oidc_provider.Provider) -> str:
    """Return a token whose signature says that the public key, which everybody has, is a shared secret."""
    body = provider.token().split(".")[1]
    head = _part(json.dumps({"alg": "HS256", "kid": provider.key.kid}).encode())
    secret = provider.key.as_pem(private=False)
    return f"{head}.{body}.{_part(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_a_new_key_is_fetched_when_a_token_names_it_and_strangers_cannot_make_us_ask_often() -> None:
    """Providers change their keys without notice; tokens of made-up keys must not become a flood of requests."""
    async with reading() as (provider, tokens, time):
        for _ in range(3):
            await tokens.caller(provider.token())
        assert provider.asked == 1
        provider.rotate()
        with pytest.raises(oidc.BadToken):
            await tokens.caller(provider.token())  # its keys have just been read
        time.pass_s(11)
        await tokens.caller(provider.token())
        assert provider.asked == 2

        stranger = provider.token(jwk.ECKey.generate_key("P-256", {"kid": "made-up"}))
        provider.key = oidc_provider._key("made-up")
        forged = provider.token()
        for _ in range(20):
            for token in (stranger, forged):
                with pytest.raises(oidc.BadToken):
                    await tokens.caller(token)
        assert provider.asked == 2


async def test_known_keys_outlive_a_provider_that_is_away_for_a_day() -> None:
    """Then nothing can be said about a token, which is no refusal."""
    async with reading() as (provider, tokens, time):
        token = provider.token(exp=web_role.NOW_MS // 1000 + 10**6)
        await tokens.caller(token)
        provider.is_away = True
        time.pass_s(7_200)
        await tokens.caller(token)
        time.pass_s(86_400)
        with pytest.raises(oidc.ProviderDown):
            await tokens.caller(token)
        provider.is_away = False
        time.pass_s(11)
        await tokens.caller(token)


async def test_known_keys_answer_while_newer_ones_are_fetched_and_an_unknown_one_is_no_refusal() -> None:
    """No call waits for a slow provider; one that is away may have the key that a token names."""
    async with reading() as (provider, tokens, time):
        token = provider.token(exp=web_role.NOW_MS // 1000 + 10**6)
        await tokens.caller(token)
        time.pass_s(7_200)
        await tokens.caller(token)
        assert provider.asked == 1
        while provider.asked == 1:
            await asyncio.sleep(0.01)
        await tokens.close()

        provider.is_away = True
        provider.rotate()
        time.pass_s(11)
        for _ in range(2):
            with pytest.raises(oidc.ProviderDown):
                await tokens.caller(provider.token(exp=web_role.NOW_MS // 1000 + 10**6))


async def test_header_parameters_of_a_provider_are_passed_over() -> None:
    """Some providers add their own."""
    async with reading() as (provider, tokens, _):
        given = provider.token()
        claims = json.loads(base64.urlsafe_b64decode(given.split(".")[1] + "=="))
        header = {"alg": "ES256", "kid": provider.key.kid, "nonce": "n"}
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
        assert (await tokens.caller(jwt.encode(header, claims, provider.key, registry=registry))).name == "ann"


async def test_a_provider_that_calls_itself_otherwise_is_not_believed() -> None:
    """Its keys might be those of another one."""
    async with reading() as (provider, tokens, _):
        provider.issuer = "https://other.example"
        with pytest.raises(oidc.ProviderDown, match=r"expected api\.access\.oidc\.issuer"):
            await tokens.caller(provider.token(iss=provider.url))
