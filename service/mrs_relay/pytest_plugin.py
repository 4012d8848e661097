"""
The fixture `mrs_relay` for the tests of services: a relay in memory, see `client.testing`.

Installed as a plugin of pytest, so it loads nothing of the package until a test asks for the fixture. Async fixtures
are pytest-asyncio's; without it any other plugin that runs them will do.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mrs_relay.testing import scripted

    _Maker = Callable[[], AsyncIterator[scripted.Relay]]


def _fixture(maker: _Maker) -> Any:  # noqa: ANN401 - what pytest makes of it
    if importlib.util.find_spec("pytest_asyncio") is None:
        return pytest.fixture(maker)
    import pytest_asyncio  # noqa: PLC0415 - where it is there

    return pytest_asyncio.fixture(maker)


@_fixture
async def mrs_relay() -> AsyncIterator[scripted.Relay]:
    """Play a relay that does what the test says: `will_succeed`, `will_fail` …; `client()` talks to it."""
    from mrs_relay.testing import scripted  # noqa: PLC0415 - see above

    async with scripted.Relay() as relay:
        yield relay
