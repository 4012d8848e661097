"""The dashboard's pages, read by a client without a browser."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tests.support import web_role

from mrs_relay.messages import codec

OURS = {"Sec-Fetch-Site": "same-origin"}


class Pages:
    """A role whose pages are asked for."""

    def __init__(self, stage: web_role.Stage, client: web_role.Client) -> None:
        self.stage = stage
        self.client = client

    async def get(self, path: str, status: int = 200) -> str:
        async with self.client.session.get(self.client.url + path) as response:
            text = await response.text()
            assert response.status == status, text
            assert response.content_type == "text/html"
            return text

    async def send(
        self, path: str, fields: Mapping[str, str], status: int = 200, headers: Mapping[str, str] = OURS
    ) -> tuple[str, Mapping[str, str]]:
        async with self.client.session.post(
            self.client.url + path, data=fields, headers=headers, allow_redirects=False
        ) as response:
            text = await response.text()
            assert response.status == status, text
            return text, response.headers

    def sent(self) -> list[tuple[str, str, str]]:
        """Type, request and note of each message to the relay."""
        found = [
            codec.decode(record.value or b"") for record in self.stage.broker.committed(web_role.KAFKA.topics.requests)
        ]
        return sorted((one["type"], one["data"]["request"]["id"], one["data"]["note"]) for one in found)


@contextlib.asynccontextmanager
async def pages(*outgoing: Any, **api: Any) -> AsyncIterator[Pages]:
    stage = web_role.Stage()
    await stage.put(*outgoing)
    async with web_role.role(stage, web_role.chosen(api=api)) as client:
        yield Pages(stage, client)
