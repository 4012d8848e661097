"""Send one run event by HTTP, and say what the answer means. The endpoint's own words are never logged."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, NamedTuple

import aiohttp

from mrs_relay import errors
from mrs_relay.common import faults, tls
from mrs_relay.forwarding import settings

_LATER: Final = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.UPGRADE_REQUIRED,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Refusals that say nothing of the event: of the caller, of the address, or for the moment."""


class Answer(NamedTuple):
    """
    The result of sending an event.

    Attributes:
        is_final: the endpoint took the event, or refuses it for what it is: sending it again would not help.
        fault: why the endpoint did not take it; "" if it did.
    """

    is_final: bool
    fault: str = ""


class Endpoint:
    """
    Send events to the endpoint of the settings.

    Args:
        session: the HTTP client.
        url: address of the endpoint.
        token_file: file with the bearer token; None: there is none.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token_file: pathlib.Path | None) -> None:
        self._session = session
        self._url = url
        self._token_file = token_file

    async def send(self, event: bytes) -> Answer:
        """Send one event, once."""
        try:
            headers = self._headers()
            async with self._session.post(self._url, data=event, headers=headers, allow_redirects=False) as reply:
                status = reply.status
        except (
            aiohttp.ClientError,
            TimeoutError,
            OSError,
            ValueError,
        ) as error:  # ValueError: the token is no text of one line
            return Answer(is_final=False, fault=faults.name(error))

        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return Answer(is_final=True)
        is_refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _LATER
        return Answer(is_final=is_refused, fault=f"HTTP {status}")

    def _headers(self) -> dict[str, str]:
        """Return the headers of a request; raises OSError if there is no token in its place now."""
        headers = {"Content-Type": "application/json"}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"
        return headers


@contextlib.asynccontextmanager
async def opened(chosen: settings.ForwardingSettings) -> AsyncIterator[Endpoint]:
    """
    Open the endpoint of the settings for the length of the context.

    Raises:
        SettingsError: the settings name none, or `ca_file` cannot be used.
    """
    if chosen.url is None:
        raise errors.SettingsError(
            "forwarding.url (MRS_RELAY_FORWARDING__URL): expected the address that takes OpenLineage events, got none"
        )
    timeout = aiohttp.ClientTimeout(total=chosen.timeout_s)
    trusted = True if chosen.ca_file is None else tls.trusting(chosen.ca_file, "forwarding.ca_file")
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=True) as session:
        yield Endpoint(session, chosen.url, chosen.token_file)
