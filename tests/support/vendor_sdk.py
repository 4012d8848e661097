"""The vendor's own Python SDK against a server on this machine: it is synchronous, so each call runs in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkmrs import v1, v2

from mrs_emulator.core import settings

KEY = settings.Credential()
PROJECT = settings.EmulatorSettings().project_id


class Vendor:
    """
    The vendor's clients for V1 and V2.

    Args:
        url: address of the server.
        credentials: to sign with; None: those that the emulator knows.
    """

    def __init__(self, url: str, credentials: BasicCredentials | None = None) -> None:
        self.url = url
        pair = credentials or BasicCredentials(KEY.access_key, KEY.secret_key.get_secret_value(), PROJECT)
        self.v1 = v1.MrsClient.new_builder().with_credentials(pair).with_endpoint(url).build()
        self.v2 = v2.MrsClient.new_builder().with_credentials(pair).with_endpoint(url).build()

    async def ask(self, call: Callable[[Any], Any], request: object) -> Any:
        """Call an operation."""
        return await asyncio.to_thread(call, request)

    async def refused(self, call: Callable[[Any], Any], request: object) -> tuple[int, str]:
        """Return status and code of a refusal, as the SDK reads them."""
        with pytest.raises(exceptions.ServiceResponseException) as caught:
            await self.ask(call, request)
        return caught.value.status_code, caught.value.error_code
