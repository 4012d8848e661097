"""Log in at the brokers: with the present password or token, or by Kerberos."""

from __future__ import annotations

import asyncio
import base64
import http
import importlib.util
import ssl
from collections.abc import Awaitable, Callable
from http import client
from pathlib import Path
from typing import Any, Final
from urllib import parse

import msgspec
import structlog
from aiokafka import abc as kafka_abc
from aiokafka import client as kafka_client
from aiokafka import errors as kafka_errors
from pydantic import SecretStr

from mrs_relay import errors
from mrs_relay.kafka import security as security_settings

log = structlog.get_logger(__name__)

_TOKEN_S: Final = 10.0
_USED_PART: Final = 0.8
_UNKNOWN_LIFE_S: Final = 60.0
_MOST_REPLY_BYTES: Final = 65_536


class CannotLogIn(kafka_errors.KafkaConnectionError):  # type: ignore[misc]  # the library ships no types
    """A password, token or ticket is missing; the library tries again, as with a broker that is down."""


def password(security: security_settings.Security) -> str | None:
    """
    Return the present SASL password.

    Raises:
        CannotLogIn: its file cannot be read.
    """
    return _secret(security.password, security.password_file, "kafka.security.password_file")


def options(security: security_settings.Security, tokens: Tokens | None) -> dict[str, Any]:
    """
    Return the library's arguments that log a client in.

    Args:
        security: the settings.
        tokens: the result of `tokens_for` for them.

    Raises:
        CannotLogIn: the password's file cannot be read.
    """
    if not security.uses_sasl:
        return {}
    named: dict[str, Any] = {"sasl_mechanism": security.mechanism}
    if security.mechanism == "OAUTHBEARER":
        return {**named, "sasl_oauth_token_provider": tokens}
    if security.mechanism == "GSSAPI":
        return {
            **named,
            "sasl_kerberos_service_name": security.kerberos_service,
            "sasl_kerberos_domain_name": security.kerberos_host,
        }
    return {**named, "sasl_plain_username": security.username, "sasl_plain_password": password(security)}


def tokens_for(security: security_settings.Security) -> Tokens | None:
    """
    Return the one source of tokens for all clients of a process; None if the mechanism uses none.

    Raises:
        SettingsError: Kerberos is configured and its package is missing.
    """
    if not security.uses_sasl:
        return None
    if security.mechanism == "GSSAPI" and importlib.util.find_spec("gssapi") is None:
        raise errors.SettingsError(
            "kafka.security.mechanism GSSAPI needs the package gssapi: pip install 'mrs-relay[kerberos]' "
            "(it is built with the headers of MIT Kerberos, on Debian libkrb5-dev)"
        )
    return Tokens(security) if security.mechanism == "OAUTHBEARER" else None


def attend(kafka: kafka_client.AIOKafkaClient, security: security_settings.Security) -> None:
    """
    Give each new connection of a client the present password, and convert login errors to the library's own.

    NB: the library keeps the password that a client was made with, and an error of the Kerberos library would end its
    tasks. Source: aiokafka 0.14, client.py, `bootstrap` and `_get_conn`.
    """
    if security.uses_sasl:
        connect = _attended(kafka, security, kafka._get_conn)  # noqa: SLF001 - where it connects
        kafka._get_conn = _or_none(kafka, connect)  # noqa: SLF001 - the same
        kafka.bootstrap = _attended(kafka, security, kafka.bootstrap)


def _attended(
    kafka: kafka_client.AIOKafkaClient, security: security_settings.Security, connect: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    async def attended(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - handed through
        if security.password_file is not None:
            kafka._sasl_plain_password = password(security)  # noqa: SLF001 - see `attend`
        try:
            return await connect(*args, **named)
        except Exception as error:
            if is_kerberos(error):
                raise CannotLogIn(f"Kerberos: {error}") from error
            raise

    return attended


def _or_none(
    kafka: kafka_client.AIOKafkaClient, connect: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """Wrap a connect method: a failed login returns None, as the library's does for an unreachable broker."""

    async def connected(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - handed through
        try:
            return await connect(*args, **named)
        except CannotLogIn as error:
            log.warning("kafka_login_failed", error=str(error))
            kafka.force_metadata_update()
            return None

    return connected


def is_kerberos(error: BaseException) -> bool:
    """Return whether the Kerberos library raised an error; it may be missing, so its class is not imported."""
    return type(error).__module__.partition(".")[0] == "gssapi"


class Tokens(kafka_abc.AbstractTokenProvider):  # type: ignore[misc]  # the library ships no types
    """
    Tokens for OAUTHBEARER, kept for most of their life; all clients of a process may share one provider.

    Args:
        security: names the source of the tokens.
    """

    def __init__(self, security: security_settings.Security) -> None:
        self._security = security
        self._token = ""
        self._renew_s = float("-inf")
        self._ends_s = float("-inf")
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """
        Return a valid token.

        Raises:
            CannotLogIn: there is none; the message names the source.
        """
        security = self._security
        if security.token_endpoint is None:
            return _secret(None, security.token_file, "kafka.security.token_file") or ""
        async with self._asking:
            now_s = asyncio.get_running_loop().time()
            if now_s >= self._renew_s:
                try:
                    self._token, life_s = await asyncio.to_thread(_request_token, security, security.token_endpoint)
                except (OSError, client.HTTPException, ValueError) as error:
                    if now_s >= self._ends_s:
                        raise CannotLogIn(f"no token from {security.token_endpoint}: {error!s:.200}") from error
                else:
                    self._renew_s, self._ends_s = now_s + _USED_PART * life_s, now_s + life_s
            return self._token


def _request_token(security: security_settings.Security, endpoint: str) -> tuple[str, float]:
    """
    Request a token; returns it with its life in seconds. Blocks for up to ten seconds: call it in a thread.

    Redirects are not followed: credentials are sent to the configured endpoint and to no other.

    Source: RFC 6749, sections 4.4.2 (request), 5.1 and 5.2 (replies), 2.3.1 (the client's credentials).
    """
    secret = _secret(security.client_secret, security.client_secret_file, "kafka.security.client_secret_file") or ""
    form = {"grant_type": "client_credentials"} | ({"scope": security.scope} if security.scope else {})
    credentials = f"{parse.quote_plus(security.client_id or '')}:{parse.quote_plus(secret)}"
    headers = {
        "Accept": "application/json",
        "Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }

    address = parse.urlsplit(endpoint)
    connection = _connection(address, security)
    try:
        path = parse.urlunsplit(("", "", address.path or "/", address.query, ""))
        connection.request("POST", path, parse.urlencode(form), headers)
        reply = connection.getresponse()
        body = reply.read(_MOST_REPLY_BYTES)
    finally:
        connection.close()

    if reply.status != http.HTTPStatus.OK:
        raise ValueError(f"HTTP {reply.status}; check kafka.security.client_id, client_secret and scope")
    return _read_reply(body)


def _connection(place: parse.SplitResult, security: security_settings.Security) -> client.HTTPConnection:
    host = place.hostname or ""
    if place.scheme != "https":
        return client.HTTPConnection(host, place.port, timeout=_TOKEN_S)
    trust = ssl.create_default_context(cafile=security.token_ca_file)
    return client.HTTPSConnection(host, place.port, timeout=_TOKEN_S, context=trust)


class _Reply(msgspec.Struct):
    access_token: str
    expires_in: float | str = _UNKNOWN_LIFE_S


def _read_reply(body: bytes) -> tuple[str, float]:
    """Read token and life; an invalid reply is not quoted, since it may contain a secret."""
    try:
        found = msgspec.json.decode(body, type=_Reply)
        return found.access_token, float(found.expires_in)
    except (msgspec.MsgspecError, ValueError):
        raise ValueError('expected a JSON object with "access_token" and "expires_in"') from None


def _secret(value: SecretStr | None, file: Path | None, setting: str) -> str | None:
    if file is None:
        return None if value is None else value.get_secret_value()
    try:
        return file.read_text(encoding="utf-8").rstrip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CannotLogIn(f"{setting} {file} cannot be read: {reason}") from error
