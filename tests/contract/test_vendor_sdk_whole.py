"""The vendor's SDK as a whole: what it has of the API overview is called in the tests, the rest is refused."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions import exceptions
from huaweicloudsdkmrs import v1, v2
from tests.support import overview

from mrs_emulator.core import settings
from mrs_emulator.http import server

_SNAKE = re.compile(r"(?<!^)(?=[A-Z])")
_TESTS = "".join(path.read_text() for path in Path(__file__).parent.glob("test_vendor_sdk_*.py"))
_CLIENTS = {"v1": v1.MrsClient, "v2": v2.MrsClient}
_OTHER_NAMES = {"batch_delete_cluster_tags"}  # the overview has it as an action of BatchCreateClusterTags
_KNOWN = {_SNAKE.sub("_", name.removesuffix("V11")).lower() for name in overview.OVERVIEW} | _OTHER_NAMES


@pytest.mark.parametrize("version", _CLIENTS)
def test_every_operation_that_the_sdk_has_of_the_overview_is_called(version: str) -> None:
    """A method that the SDK has and no test calls would be a promise without a proof."""
    has = {name for name in vars(_CLIENTS[version]) if name in _KNOWN}
    assert len(has) > 10
    assert {name for name in has if not re.search(rf"\b{version}\.{name}\b", _TESTS)} == set()


async def test_an_operation_beyond_the_overview_is_refused_as_the_gateway_does() -> None:
    """The SDK has some that no page of the overview lists; the emulator says that it has no such API."""
    key = settings.Credential()
    keys = BasicCredentials(key.access_key, key.secret_key.get_secret_value(), settings.EmulatorSettings().project_id)
    async with server.running(settings.EmulatorSettings(port=0)) as live:
        sdk = v2.MrsClient.new_builder().with_credentials(keys).with_endpoint(live.url).build()
        with pytest.raises(exceptions.ServiceResponseException) as caught:
            await asyncio.to_thread(sdk.show_mrs_version_list, v2.ShowMrsVersionListRequest())
    assert (caught.value.status_code, caught.value.error_code) == (404, "APIGW.0101")
