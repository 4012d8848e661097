"""What pages show and offer to callers of some tenants and roles, and to those whom nobody knows."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import AsyncIterator, Mapping

import pytest
from tests.support import access, cells, web_role

_OURS = {"Sec-Fetch-Site": "same-origin"}


class _Shown:
    def __init__(self, client: web_role.Client, known: access.Callers) -> None:
        self._client = client
        self._known = known

    async def page(
        self, path: str, caller: str | None, *, method: str = "GET", fields: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Ask for a page, which must be one; returns its status and text."""
        headers = {**_OURS, **self._known.headers(caller)}
        url = self._client.url + path
        async with self._client.session.request(method, url, headers=headers, data=fields) as response:
            assert response.content_type == "text/html"
            return response.status, await response.text()


@contextlib.asynccontextmanager
async def _shown(folder: pathlib.Path) -> AsyncIterator[_Shown]:
    known, stage = access.Callers(folder), access.stage()
    await access.put_requests(stage)
    async with web_role.role(stage, known.chosen()) as client:
        yield _Shown(client, known)


async def test_people_read_on_a_page_why_something_is_refused(tmp_path: pathlib.Path) -> None:
    """Whoever refuses it: the roles, who is not known, the router; programs get JSON."""
    async with _shown(tmp_path) as shown:
        for path, caller, method, status, words in (
            ("/requests/etl-1/cancel", "viewer", "POST", 403, "this needs the role operator"),
            ("/bulk?action=cancel", "viewer", "GET", 403, "this needs the role operator"),
            ("/", None, "GET", 401, "authentication is needed"),
            ("/nowhere", "viewer", "GET", 404, "there is no such path"),
            ("/requests", "viewer", "POST", 405, "POST: expected GET"),
        ):
            with cells.cell(path, method):
                fields = {"note": "x"} if method == "POST" else None
                found, text = await shown.page(path, caller, method=method, fields=fields)
                assert found == status
                assert words in text
        with pytest.raises(AssertionError):
            await shown.page("/v1/nowhere", "viewer")


async def test_only_the_readers_own_tenants_are_named(tmp_path: pathlib.Path) -> None:
    """The names of the others are none of their business."""
    async with _shown(tmp_path) as shown:
        for path in ("/requests", "/dead-letters"):
            _, text = await shown.page(path, "viewer")
            assert '<option value="etl">' in text
            assert '<option value="bi">' not in text
